"""What a gate learns from a log: exact counts, silence told from no traffic, and every fault as a sentence."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts
from healthd_gates.sources.access_log import file_reader
from healthd_gates.sources.access_log.follower import Follower
from healthd_gates.sources.access_log.hub import _readers
from healthd_gates.sources.contract import Arm, ArmError, Arms, HistoricalSource, Series, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource, Inspection
from tests.fakes.sources import Desk, HandClock, desk

VALUES = {"blue": "unix:/run/blue.sock"}
START = datetime(2026, 11, 26, 13, tzinfo=UTC)
GREEN, BLUE = (
    Arm("2", target="green", urls=("http://10.0.0.2:3000",)),
    Arm("1", target="blue", urls=("http://10.0.0.1:3000",)),
)


def line(status: int = 200, to: str = "10.0.0.2:3000", seconds: float = 0.02, at: datetime = START, **more: Any) -> str:
    fields = {
        "time_iso8601": at.isoformat(),
        "status": str(status),
        "request_time": str(seconds),
        "upstream_addr": to,
        "upstream_status": str(status),
        "upstream_response_time": str(seconds),
        "request_uri": "/cart",
        "http_user_agent": "Mozilla/5.0",
    }
    return json.dumps({**fields, **more})


class Written:
    """A log, and gates that are judged by it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock = folder / "access.log", HandClock(START)
        self.path.touch()
        self.desks: list[Desk] = []

    def write(self, *lines: str) -> None:
        with self.path.open("a", encoding="latin-1") as file:
            file.writelines(f"{each}\n" for each in lines)

    def gate(
        self,
        edges: tuple[float, ...] = (0.5,),
        baseline: Arm | None = BLUE,
        *,
        series: tuple[Series, ...] = (),
        by: str | None = None,
        latency_by: str | None = None,
        **more: Any,
    ) -> Desk:
        config = {"kind": "access_log", "file": str(self.path), "format": "nginx_json", "edges": ["100ms"], **more}
        split: dict[str, Any] = {"by": by, "latency_by": latency_by}
        made = desk(config, self.clock, candidate=GREEN, baseline=baseline, edges=edges, series=series, **split)
        self.desks.append(made)
        return made


@pytest.fixture
async def log(tmp_path: Path) -> Any:
    written = Written(tmp_path)
    yield written
    for gate in written.desks:
        await gate.source.close()
    assert not _readers  # the last gate closes the file


@pytest.fixture
def descriptors() -> Iterator[None]:
    """No file stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_each_arm_has_its_requests_errors_and_latencies(log: Written) -> None:
    """Told apart by the address that NGINX passed a request on to."""
    log.write(line(500))
    gate = log.gate()
    await gate.look()
    log.write(*[line()] * 7, line(500, seconds=0.4), line(404), *[line(to="10.0.0.1:3000", seconds=0.9)] * 3)
    seen = await gate.seen(after=5)
    assert seen.candidate is not None
    assert (seen.candidate.requests, seen.candidate.errors) == (9, 1)
    assert seen.candidate.latency is not None
    assert (seen.candidate.latency.edges, seen.candidate.latency.counts) == ((0.1, 0.5, inf), (8, 1, 0))
    assert seen.candidate.latency.sum_seconds == pytest.approx(8 * 0.02 + 0.4)
    assert seen.baseline is not None
    assert (seen.baseline.requests, seen.baseline.errors, seen.gaps) == (3, 0, 0)


async def test_gates_share_a_reader_and_a_restarted_one_catches_up(log: Written) -> None:
    """Each counts from its own place, with the edges of its own policy."""
    first, second = log.gate(), log.gate(edges=(0.3,))
    await first.look()
    log.write(*[line()] * 5)
    await second.look(after=1)
    assert len(_readers) == 1
    log.write(*[line(seconds=0.2)] * 4)
    await second.look(after=1)
    await first.look()
    await first.source.close()
    log.write(*[line(seconds=0.4)] * 3)
    await second.look(after=1)
    log.write(*[line()] * 2)
    again = log.gate()
    again.cursor, again.looks = first.cursor, first.looks
    await again.look(after=1)
    log.write(line(503))
    await again.look(after=1)
    await second.look()
    total, other = again.total(), second.total()
    assert total is not None
    assert other is not None
    assert (total.requests, total.errors) == (5 + 4 + 3 + 2 + 1, 1)
    assert (other.requests, other.errors) == (4 + 3 + 2 + 1, 1)
    assert other.latency is not None
    assert (other.latency.edges, other.latency.counts) == ((0.1, 0.3, inf), (3, 4, 3))


async def test_all_were_killed_and_one_stands_far_behind(log: Written) -> None:
    """Their places are what the journal has; none of them is the reader's own."""
    gates = [log.gate() for _ in range(3)]
    for number, gate in enumerate(gates):
        await gate.look(after=1)
        log.write(*[line()] * (number + 1))
    for gate in gates:
        await gate.source.close()
    log.path.rename(log.path.with_name("access.log.1"))
    log.write(*[line(500)] * 4)
    for number in (2, 0, 1):
        again = log.gate()
        again.cursor = gates[number].cursor
        await again.look(after=1)
        log.write(line())
        await again.look(after=1)
        await again.look(after=20)
        gates[number] = again
    for gate in gates:
        await gate.look(after=1)
    totals = [(total.requests, total.errors) for gate in gates if (total := gate.total()) is not None]
    assert totals == [(6 + 4 + 3, 4), (5 + 4 + 3, 4), (3 + 4 + 3, 4)]


async def test_silence_is_no_traffic_only_where_the_log_is_known_to_be_written(log: Written) -> None:
    """Nothing new says nothing at first, and is no telemetry after a while. Any line proves the log."""
    gate = log.gate()
    await gate.look()
    log.write(line())
    await gate.look(after=5)
    seen = await gate.seen(after=5)
    assert (seen.candidate, seen.baseline) == (None, None)
    with pytest.raises(SourceUnavailable, match=r"nothing was written to .* for 35s"):
        await gate.look(after=30)
    log.write(line(request_uri="/x?healthd-heartbeat=1"))
    seen = await gate.seen(after=5)
    assert seen.candidate is not None
    assert (seen.candidate.requests, seen.baseline) == (0, seen.candidate)


async def test_a_log_that_is_written_over_is_told_as_that(log: Written) -> None:
    """As of a HAProxy that was restarted with its output in a file: nothing would ever be seen again."""
    gate = log.gate()
    log.write(*[line()] * 50)
    await gate.look()
    await gate.look(after=5)
    with log.path.open("r+b") as file:
        file.write(line().encode() + b"\n")
    os.utime(log.path, (0, log.path.stat().st_mtime + 1))
    for after in (40, 5):
        with pytest.raises(SourceUnavailable, match=r"is written to and does not grow: .*`\| cat >>` the file"):
            await gate.look(after=after)
    log.write(line())
    seen = await gate.seen(after=5)
    assert seen.candidate is not None
    assert seen.candidate.requests == 1
    with pytest.raises(SourceUnavailable, match="nothing was written to"):
        await gate.look(after=40)


async def test_lines_that_do_not_fit_are_gaps_and_too_many_are_no_telemetry(log: Written) -> None:
    """The errors may be just those that do not fit."""
    gate = log.gate()
    await gate.look()
    log.write(*[line()] * 20, "broken", "\0\xff")
    look = await gate.look(after=5)
    assert look.evidence is not None
    assert look.evidence.gaps == 2
    assert "2 of 22 lines do not fit the format" in look.notes[0]
    log.write(*[line()] * 4, "broken")
    with pytest.raises(SourceUnavailable, match=r"1 of 5 lines of .* do not fit the format nginx_json"):
        await gate.look(after=5)


async def test_lines_of_another_format_are_read_once(log: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong log_format, of more than one look can read: counting goes on behind it, also if some lines do fit."""
    monkeypatch.setattr(file_reader, "_AT_ONCE", 1000)
    gate = log.gate()
    await gate.look()
    offsets = []
    for lines in (["127.0.0.1 - - [26/Nov/2026:13:00:00 +0000] ..."] * 30, [line(), "broken"] * 20):
        log.write(*lines)
        look = await gate.look(after=5)
        assert look.evidence is not None
        assert (look.evidence.candidate, look.evidence.gaps > 0) == (None, True)
        assert "do not fit the format nginx_json" in look.notes[0]
        assert gate.cursor is not None
        offsets.append(gate.cursor["place"][-1][1])
    assert 0 < offsets[0] < offsets[1]


@pytest.mark.parametrize(("meaning", "expected"), [("ignored", (2, 0)), ("error", (5, 3))])
async def test_a_client_that_went_away(log: Written, meaning: str, expected: tuple[int, int]) -> None:
    """Its request says nothing, unless the configuration says that it does; it is told in either case."""
    gate = log.gate(client_closed=meaning)
    await gate.look()
    log.write(*[line()] * 2, *[line(499)] * 3)
    look = await gate.look(after=5)
    assert look.evidence is not None
    assert look.evidence.candidate is not None
    assert (look.evidence.candidate.requests, look.evidence.candidate.errors) == expected
    assert any("3 requests whose client went away" in note for note in look.notes) is (meaning == "ignored")


async def test_requests_of_neither_are_told(log: Written) -> None:
    """An upstream with no server left is logged by its name."""
    gate = log.gate()
    await gate.look()
    log.write(*[line(502, to="api")] * 3, line(404, to="-", upstream_status="-", upstream_response_time="-"))
    look = await gate.look(after=5)
    assert look.notes == ("candidate: requests of neither version, by upstream_addr: api (3)",)


async def test_one_log_of_several_services(log: Written) -> None:
    """Only the lines of this one count."""
    gate = log.gate(only={"server_name": "shop.example.com"})
    await gate.look()
    log.write(*[line(server_name="shop.example.com")] * 2, *[line(500, server_name="blog.example.com")] * 5)
    seen = await gate.seen(after=5)
    assert seen.candidate is not None
    assert (seen.candidate.requests, seen.candidate.errors) == (2, 0)


async def test_without_anything_that_tells_versions_apart_all_is_the_candidates(log: Written) -> None:
    """The baseline is not told, rather than the same."""
    gate = log.gate(format="nginx_combined")
    await gate.look()
    log.write('1.1.1.1 - - [26/Nov/2026:13:00:00 +0000] "GET / HTTP/1.1" 500 1 "-" "curl/8"')
    seen = await gate.seen(after=5)
    assert seen.candidate == Counts(1, 1)
    assert seen.baseline is None


async def test_by_the_version_in_a_header(log: Written) -> None:
    """Of the answer, as NGINX names it."""
    gate = log.gate(arms_by="sent_http_x_version", value="$version", latency_of="request")
    await gate.look()
    log.write(line(sent_http_x_version="2", request_time="0.7"), line(500, sent_http_x_version="1"))
    seen = await gate.seen(after=5)
    assert seen.candidate is not None
    assert seen.candidate.latency is not None
    assert (seen.candidate.requests, seen.candidate.latency.counts) == (1, (0, 0, 1))
    assert seen.baseline is not None
    assert seen.baseline.errors == 1


async def test_many_different_values_take_no_memory(log: Written) -> None:
    """A client can choose what is in a header."""
    gate = log.gate(arms_by="http_x_version", value="$version")
    await gate.look()
    log.write(*[line(http_x_version=str(number)) for number in range(1, 3000)])
    look = await gate.look(after=5)
    assert look.evidence is not None
    assert look.evidence.candidate is not None
    assert look.evidence.candidate.requests == 1
    assert "others (" in look.notes[0]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, r"there is no .*access\.log"),
        (Path.mkdir, "is a folder"),
        (lambda path: path.symlink_to("/dev/null"), r"a link to /dev/null.*syslog"),
        (os.mkfifo, "no regular file"),
    ],
)  # fmt: skip
async def test_a_log_that_is_none(log: Written, make: Any, problem: str, descriptors: None) -> None:
    """A pipe would hang whoever opens it; nothing is left open."""
    log.path.unlink()
    make(log.path)
    for ask in (log.gate().look, log.gate().source.inspect):  # type: ignore[attr-defined]
        with pytest.raises(SourceUnavailable, match=problem) as refused:
            await ask()
        assert refused.value.kind is FailureKind.MISCONFIGURED


async def test_a_log_that_goes_away_meanwhile(log: Written) -> None:
    """Is no telemetry, and counted again from where it goes on."""
    gate = log.gate()
    await gate.look()
    log.write(line())
    log.path.rename(log.path.with_name("gone"))
    assert (await gate.seen(after=5)).candidate is not None
    with pytest.raises(SourceUnavailable, match="there is no"):
        await gate.look(after=5)
    log.write(line(500))
    assert (await gate.seen(after=5)).candidate is not None
    total = gate.total()
    assert total is not None
    assert (total.requests, total.errors) == (2, 1)


async def inspected(gate: Desk) -> Inspection:
    assert isinstance(gate.source, InspectableSource)
    return await gate.source.inspect()


async def test_an_inspection_finds_what_is_misnamed(log: Written) -> None:
    """The format that it is, the field that was meant, whose requests there are, and what is left out."""
    log.write(*[line()] * 3, line(http_user_agent="kube-probe/1.31"))
    found = await inspected(log.gate())
    assert found.refused == ()
    assert found.arms["candidate"].series == {"lines": 3}
    assert any(
        "baseline: no line has 10.0.0.1:3000 as its upstream_addr; there are: 10.0.0.2:3000" in it
        for it in found.doubtful
    )
    assert any("1 of the last 4 lines" in it for it in found.doubtful)
    [wrong] = (await inspected(log.gate(format="nginx_combined"))).refused
    assert "they fit nginx_json" in wrong
    [wrong] = (await inspected(log.gate(arms_by="upstream_adr"))).refused
    assert "no line has the field upstream_adr (arms_by)" in wrong
    assert "Did you mean upstream_addr?" in wrong
    [wrong] = (await inspected(log.gate(fields={"status": "statu"}))).refused
    assert "Did you mean status?" in wrong
    [wrong] = (await inspected(log.gate(format="$remote_addr [$time_local] $status"))).refused
    assert "do not fit the format log_format" in wrong


async def test_a_line_that_does_not_fit_is_shown_by_its_shape(log: Written) -> None:
    """And not by its words, which may be secret."""
    log.write('1.1.1.1 - bob [26/Nov] "GET /a?token=s3cret HTTP/1.1" 500')
    [wrong] = (await inspected(log.gate(format="$remote_addr $status"))).refused
    assert 'as one of this shape: 0.0.0.0 - a [0/a] "a /a?a=a a/0.0" 0' in wrong


async def test_an_inspection_says_that_there_are_no_latencies(log: Written) -> None:
    """With the cure."""
    log.write('1.1.1.1 - - [26/Nov/2026:13:00:00 +0000] "GET / HTTP/1.1" 500 1 "-" "curl/8"')
    found = await inspected(log.gate(format="nginx_combined"))
    assert any("no latencies: its lines have no durations: add $request_time" in it for it in found.doubtful)


async def test_the_past_is_read_from_what_was_rotated_too(log: Written) -> None:
    """Each line at its own time, also from a compressed file."""
    at = [START - timedelta(seconds=seconds) for seconds in (100, 70, 50, 20)]
    old = log.path.with_name("access.log.2.gz")
    old.write_bytes(gzip.compress(f"{line(500, at=at[0])}\n{line(at=at[1])}\n".encode()))
    log.path.with_name("access.log.1").write_text(line(at=at[2]) + "\n")
    log.write(line(at=at[3]), line(to="10.0.0.1:3000", at=at[3]), line(at=START + timedelta(seconds=1)))
    gate = log.gate()
    assert isinstance(gate.source, HistoricalSource)
    past = await gate.source.history(START - timedelta(seconds=120), START, 60)
    candidate = [each.candidate and (each.candidate.requests, each.candidate.errors) for each in past]
    baseline = [each.baseline and each.baseline.requests for each in past]
    assert (candidate, baseline) == ([(2, 1), (2, 0)], [0, 1])


async def test_a_busy_log_has_a_shorter_past(log: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would take too long is left out, step by step."""
    monkeypatch.setattr("healthd_gates.sources.access_log.past._MOST", 1_000_000)
    log.write(*[line(at=START - timedelta(seconds=120 - number / 100)) for number in range(12_000)])
    gate = log.gate()
    assert isinstance(gate.source, HistoricalSource)
    past = await gate.source.history(START - timedelta(seconds=120), START, 10)
    assert 1 <= len(past) < 5
    assert all(each.candidate is not None and each.candidate.requests == 1000 for each in past)


def test_an_arm_needs_what_tells_it_apart(tmp_path: Path) -> None:
    """A target whose addresses are logged; or one that the configuration names."""
    with pytest.raises(ArmError, match=r"candidate\.target: is needed: the log tells .* by upstream_addr"):
        desk({"kind": "access_log", "file": "/x", "format": "nginx_json"}, candidate=Arm("2"))
    with pytest.raises(ArmError, match=r"candidate\.target: is needed: one of those under values: blue"):
        desk({"kind": "access_log", "file": "/x", "format": "nginx_json", "values": VALUES}, candidate=Arm("2"))


def test_two_arms_of_one_log_need_to_be_told_apart() -> None:
    """For a policy that compares them."""
    for form, apart in (("nginx_json", True), ("nginx_combined", False)):
        config = desk({"kind": "access_log", "file": "/x", "format": form}, candidate=GREEN).source._config  # type: ignore[attr-defined]
        assert config.tells_apart(Arms("shop", GREEN, BLUE)) is apart


async def test_a_dead_file_system_takes_one_thread(log: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the look ends in time."""
    gone = threading.Event()
    monkeypatch.setattr(
        "healthd_gates.sources.access_log.file_reader.Follower", lambda path, _: gone.wait() and Follower(path, None)
    )
    gate = log.gate(timeout="50ms")
    before = set(threading.enumerate())
    for _ in range(5):
        with pytest.raises(SourceUnavailable, match="dead network file system"):
            await gate.look()
    assert len(set(threading.enumerate()) - before) == 1
    gone.set()
    await asyncio.sleep(0)
