"""The s3 check against moto, and what S3 says that moto cannot be made to say."""

from __future__ import annotations

import pytest

from healthd.checks.s3_options import S3Config
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.aws_asking import REGION, client, looked
from tests.servers import moto, ports
from tests.servers.peers import Answer, Peer


async def put(aws: moto.Moto, bucket: str, **objects: int) -> None:
    """A bucket with objects of so many bytes; `_` in a name stands for a slash."""
    async with client(aws, "s3") as s3:
        await s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for name, size in objects.items():
            await s3.put_object(Bucket=bucket, Key=name.replace("_", "/"), Body=b"x" * size)


async def test_a_bucket_that_can_be_read(aws: moto.Moto) -> None:
    """Empty or not, where nothing is said of its objects."""
    await put(aws, "empty")
    result = await looked("s3", aws.url, bucket="empty")
    assert (result.status, result.message) == (Status.HEALTHY, "empty can be listed")


async def test_the_newest_object(aws: moto.Moto) -> None:
    """Below the prefix alone; what a console makes of a folder is none."""
    await put(aws, "backups", db_2=2_000, db_1=100, other=1, folder_=0)
    given = {"bucket": "backups", "prefix": "db/"}
    result = await looked("s3", aws.url, **given, max_age="1h", min_size="50B")
    assert (result.status, result.message.startswith("db/1 is ")) == (Status.HEALTHY, True)
    assert (result.observed["objects"], result.observed["newestBytes"]) == (2, 100)
    result = await looked("s3", aws.url, **given, max_age="1ms", min_size="1kB")
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.THRESHOLD)
    assert "db/1 is the newest" in result.message
    assert "more than 1ms" in result.message
    assert "has 100 bytes, less than 1000" in result.message
    result = await looked("s3", aws.url, bucket="backups", prefix="folder/", max_age="1h")
    assert (result.status, result.message) == (Status.UNHEALTHY, "there is no object below backups/folder/")


def page(*keys: str, more: bool = False) -> Answer:
    """An answer to ListObjectsV2."""
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-0{number % 9 + 1}T00:00:00.000Z</LastModified>"
        f"<Size>5</Size></Contents>"
        for number, key in enumerate(keys)
    )
    token = "<NextContinuationToken>t</NextContinuationToken>" if more else ""
    listed = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{objects}"
    return Answer(
        200, body=f"<ListBucketResult>{listed}</ListBucketResult>", headers={"Content-Type": "application/xml"}
    )


async def test_the_newest_of_several_pages(peer: Peer) -> None:
    """S3 sorts by key; and where there are too many, it says so rather than look at some."""
    peer.answer_once("GET", "/backups", page("a", "b", more=True), page("c"))
    result = await looked("s3", peer.url, bucket="backups", max_age="365000d")
    assert (result.status, result.message.startswith("b is ")) == (Status.HEALTHY, True)
    assert result.observed["objects"] == 3
    assert [each.query.get("continuation-token") for each in peer.received] == [None, "t"]
    peer.answer("GET", "/backups", page("a", more=True))
    result = await looked("s3", peer.url, bucket="backups", max_age="1h")
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert result.message == "more than 10000 objects below backups/: name a longer prefix"


@pytest.mark.parametrize(
    ("code", "name", "status", "kind", "message"),
    [
        (403, "AccessDenied", Status.DEGRADED, FailureKind.PERMISSION, "the credentials may not call s3:ListBucket"),
        (403, "SignatureDoesNotMatch", Status.UNHEALTHY, FailureKind.AUTH, "does not accept the credentials"),
        (404, "NoSuchBucket", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "there is no bucket backups"),
        (503, "SlowDown", Status.DEGRADED, FailureKind.RATE_LIMITED, "too many calls of s3:ListBucket"),
        (500, "InternalError", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "s3:ListBucket failed"),
    ],
)
async def test_refusals(peer: Peer, code: int, name: str, status: Status, kind: FailureKind, message: str) -> None:
    """Each by S3's own code."""
    body = f"<Error><Code>{name}</Code><Message>MARK</Message></Error>"
    peer.answer("GET", "/backups", Answer(code, body=body, headers={"Content-Type": "application/xml"}))
    for options in ({}, {"max_age": "1h"}):
        result = await looked("s3", peer.url, bucket="backups", **options)
        assert (result.status, result.kind) == (status, kind)
        assert message in result.message


async def test_an_answer_without_what_was_asked(peer: Peer) -> None:
    """As of a store that speaks most of the protocol."""
    body = "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"
    peer.answer("GET", "/backups", Answer(200, body=body, headers={"Content-Type": "application/xml"}))
    result = await looked("s3", peer.url, bucket="backups", max_age="1h")
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    assert result.message == "s3:ListBucket was not answered as documented: KeyError"


async def test_no_answer(peer: Peer) -> None:
    """Late, and none at all."""
    peer.answer("GET", "/backups", Answer(delay=10))
    result = await looked("s3", peer.url, bucket="backups", timeout="3s")
    assert (result.kind, "s3:ListBucket was not answered" in result.message) == (FailureKind.TIMEOUT, True)
    result = await looked("s3", f"http://127.0.0.1:{ports.free_port()}", bucket="backups")
    assert result.kind is FailureKind.CONNECT


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="write it without"):
        S3Config.model_validate({"region": REGION, "bucket": "backups", "prefix": "/db"})
