"""The keys of a load balancer's objects in S3, and what is in an object."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from random import Random

import pytest

from healthd_gates.sources.access_log.follower import LONGEST_LINE
from healthd_gates.sources.access_log.s3_keys import beginnings, object_of, stamp
from healthd_gates.sources.access_log.s3_lines import BrokenObject, Lines
from healthd_gates.sources.access_log.s3_options import S3Log

BALANCER = "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/my-loadbalancer/1234567890abcdef"
DOCUMENTED = (
    "logging-prefix/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2022/02/15/123456789012_elasticloadbalancing_"
    "us-east-2_app.my-loadbalancer.1234567890abcdef_20220215T2340Z_172.160.001.192_20sg8hgm.log.gz"
)
ENDED = datetime(2022, 2, 15, 23, 40, tzinfo=UTC).timestamp()


def read(*chunks: bytes) -> tuple[list[str], Lines]:
    """The lines of an object that comes in chunks."""
    found = list[str]()
    lines = Lines(found.extend)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    return found, lines


def test_the_key_that_aws_shows() -> None:
    """The example of its documentation; the day of delivery may be the next one."""
    options = S3Log(bucket="logs", prefix="logging-prefix", load_balancer=BALANCER)
    today, tomorrow = beginnings(options, ENDED, ENDED + 1800)
    assert "/2022/02/15/" in today
    assert "/2022/02/16/" in tomorrow
    found = object_of(DOCUMENTED, 7, today)
    assert found is not None
    assert (found.name, found.ended, found.size) == ("20220215T2340Z_172.160.001.192_20sg8hgm", ENDED, 7)
    assert stamp(ENDED - 1) < stamp(ENDED) < found.name < stamp(ENDED + 60)


@pytest.mark.parametrize(
    "name", ["", "x.log.gz", "20229915T2340Z_1_a.log.gz", "20220215T2340Z_1_a.log", "20220215T2340Z"]
)
def test_what_is_no_object_of_the_log(name: str) -> None:
    """It is passed over."""
    beginning = next(beginnings(S3Log(bucket="logs", load_balancer=BALANCER), ENDED, ENDED))
    assert object_of(f"{beginning}{name}", 7, beginning) is None


@pytest.mark.parametrize("size", [1, 7, 4096, 10**6])
def test_lines_are_the_same_however_they_come(size: int) -> None:
    """In any chunks, of one gzip or of several behind each other, with a newline at the end or not."""
    dice = Random(7)
    expected = [f"{number} {dice.randbytes(dice.randrange(40)).hex()}" for number in range(3000)]
    text = "\n".join(expected).encode()
    body = gzip.compress(text[:50_000]) + gzip.compress(text[50_000:])
    found, lines = read(*(body[start : start + size] for start in range(0, len(body), size)))
    assert found == expected
    assert lines.size == len(text) + 1


def test_a_line_that_is_too_long_is_skipped() -> None:
    """It takes no memory, wherever it stands, and those beside it count."""
    long = "x" * (40 * LONGEST_LINE)
    found, lines = read(gzip.compress(f"a\n{long}\nb\n{long}".encode()))
    assert (found, lines.skipped) == (["a", "b"], 2)


@pytest.mark.parametrize(
    "body", [b"", b"no gzip", gzip.compress(b"a\n" * 100, mtime=0)[:-9]], ids=["empty", "text", "cut"]
)
def test_what_is_no_whole_gzip_is_broken(body: bytes) -> None:
    """However much of it could be read."""
    with pytest.raises(BrokenObject):
        read(body)
