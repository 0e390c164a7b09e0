"""Targets' pages as they come: in two formats, compressed, broken, of targets that come and go."""

from __future__ import annotations

import errno
import gzip
import os
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, NoReturn

import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Lives
from healthd_gates.sources.contract import Arm, SourceUnavailable
from tests.fakes.sources import Desk, HandClock, WallClock, desk
from tests.servers import peers
from tests.servers.peers import Answer, Peer, Received
from tests.servers.ports import HOST, free_port

CONFIG = {
    "kind": "scrape",
    "timeout": "5s",
    "requests": 'requests_total{version="$version"}',
    "errors": 'requests_total{version="$version",status=~"5.."}',
    "latency": "seconds_bucket",
}


def page(good: float, bad: float, *, started: float | None = None, created: float | None = None) -> str:
    lines = [
        "# TYPE requests counter",
        f'requests_total{{version="2",status="200"}} {good}',
        *([f'requests_created{{version="2",status="200"}} {created}'] if created else []),
        f'requests_total{{version="2",status="500"}} {bad}',
        *([f'requests_created{{version="2",status="500"}} {created}'] if created else []),
        'requests_total{version="1",status="500"} 77',
        "# TYPE seconds histogram",
        f'seconds_bucket{{le="0.5"}} {good}',
        f'seconds_bucket{{le="+Inf"}} {good + bad}',
        f"seconds_count {good + bad}",
        f"seconds_sum {good / 2}",
    ]
    if started is not None:
        lines += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {started}"]
    return "\n".join(lines) + "\n"


def text(body: str) -> Answer:
    return Answer(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})


def gate_at(*targets: Peer, clock: HandClock | None = None, **more: object) -> Desk:
    return desk({**CONFIG, **more}, clock, candidate=Arm("2", urls=tuple(target.url for target in targets)))


def seen(gate: Desk) -> tuple[float, float] | None:
    total = gate.total()
    return None if total is None else (total.requests, total.errors)


async def test_text_and_compressed_openmetrics_say_the_same(peer: Peer) -> None:
    """The selectors choose among the page's series as Prometheus would."""
    gate = gate_at(peer)
    peer.answer("GET", "/metrics", text(page(10, 1)))
    await gate.look()
    body = gzip.compress((page(15, 3) + "# EOF\n").encode())
    headers = {"Content-Type": "application/openmetrics-text; version=1.0.0", "Content-Encoding": "gzip"}
    peer.answer("GET", "/metrics", Answer(body=body, headers=headers))
    await gate.look()
    await gate.source.close()
    total = gate.total()
    assert total is not None
    assert (total.requests, total.errors) == (7, 2)
    assert total.latency is not None
    assert (total.latency.edges, total.latency.counts, total.latency.sum_seconds) == ((0.5, inf), (5, 2), 2.5)
    assert "openmetrics" in peer.received[0].headers["Accept"]


async def test_targets_of_an_arm_add_up_and_one_that_is_away_catches_up(peer: Peer) -> None:
    """The look without it is a gap; what it counted meanwhile comes with the next."""
    async with peers.peer() as other:
        gate = gate_at(peer, other)
        peer.answer("GET", "/metrics", text(page(10, 0)))
        other.answer("GET", "/metrics", text(page(100, 0)))
        await gate.look()
        peer.answer("GET", "/metrics", text(page(11, 0)))
        other.answer("GET", "/metrics", Answer(status=503))
        look = await gate.look()
        assert seen(gate) == (1, 0)
        assert look.evidence is not None
        assert look.evidence.gaps == 1
        assert "answered 503" in look.notes[0]
        other.answer("GET", "/metrics", text(page(108, 1)))
        await gate.look()
        assert seen(gate) == (1 + 9, 1)
        await gate.source.close()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(status=500), FailureKind.UNEXPECTED_RESPONSE, "answered 500"),
        (Answer(delay=10), FailureKind.TIMEOUT, "did not answer within 1 s"),
        (text("<html>hello</html>"), FailureKind.UNEXPECTED_RESPONSE, "not a metrics page"),
        (text(page(1, float("nan"))), FailureKind.UNEXPECTED_RESPONSE, "requests_total is nan"),
        (text(page(1, -1)), FailureKind.UNEXPECTED_RESPONSE, "no counter can be"),
        (Answer(body=b"\xff\xfe"), FailureKind.UNEXPECTED_RESPONSE, "decode"),
        (
            Answer(status=307, headers={"Location": "http://x/"}),
            FailureKind.MISCONFIGURED,
            "redirects",
        ),
    ],
)
async def test_a_page_that_cannot_be_believed_is_no_telemetry(
    peer: Peer, answer: Answer, kind: FailureKind, message: str
) -> None:
    """It is neither traffic nor errors, and nothing is lost over it."""
    gate = gate_at(peer, timeout="1s" if answer.delay else "5s")
    peer.answer("GET", "/metrics", text(page(10, 0)))
    await gate.look()
    peer.answer("GET", "/metrics", answer)
    with pytest.raises(SourceUnavailable, match=message) as failure:
        await gate.look()
    assert failure.value.kind is kind
    peer.answer("GET", "/metrics", text(page(30, 1)))
    await gate.look()
    await gate.source.close()
    assert seen(gate) == (21, 1)


async def test_a_page_is_bounded_after_decompression(peer: Peer) -> None:
    """A small answer that unfolds into a huge one does not take the daemon with it."""
    bomb = gzip.compress(b"# " + b"x" * 50_000_000)
    peer.answer("GET", "/metrics", Answer(body=bomb, headers={"Content-Encoding": "gzip"}))
    gate = desk({**CONFIG, "max_size": "1MiB"}, candidate=Arm("2", urls=(peer.url,)))
    with pytest.raises(SourceUnavailable, match="more than max_size"):
        await gate.look()
    await gate.source.close()


async def test_a_target_without_requests_has_no_traffic(peer: Peer) -> None:
    """It is there and says nothing of requests: zero, and a note in case the selector is wrong."""
    peer.answer("GET", "/metrics", text("# TYPE up gauge\nup 1\n"))
    gate = gate_at(peer)
    await gate.look()
    look = await gate.look()
    assert seen(gate) == (0, 0)
    assert look.notes == ('candidate: no series matches requests_total{version="2"}',)
    peer.answer("GET", "/metrics", text(page(3, 1)))
    await gate.look()
    await gate.source.close()
    assert seen(gate) == (4, 1)


async def test_a_target_that_no_longer_has_the_baseline_says_so(peer: Peer) -> None:
    """One address for both versions, which has the new one now."""
    peer.answer("GET", "/metrics", text(page(3, 1)))
    gate = desk(CONFIG, candidate=Arm("2", urls=(peer.url,)), baseline=Arm("0", urls=(peer.url,)))
    await gate.look()
    look = await gate.look()
    await gate.source.close()
    assert look.departed == ('baseline: no series matches requests_total{version="0"}',)
    assert look.notes == look.departed


async def test_a_restart_is_seen_by_start_time_or_by_creation_times(peer: Peer) -> None:
    """Also when every counter has already overtaken what it was before."""
    for before, after in (
        (page(10, 1, started=1000), page(50, 2, started=2000)),
        (page(10, 1, created=1000), page(50, 2, created=2000)),
    ):
        gate = gate_at(peer)
        peer.answer("GET", "/metrics", text(before))
        await gate.look()
        peer.answer("GET", "/metrics", text(after))
        await gate.look()
        await gate.source.close()
        assert seen(gate) == (52, 2)


async def test_a_target_that_answers_late_counts_what_is_new(peer: Peer) -> None:
    """From zero when it began in the gate; when it is older, by a moment too, or does not say, from what it says
    first."""
    now = WallClock().now().timestamp()
    async with peers.peer() as steady:
        steady.answer("GET", "/metrics", text(page(1, 0)))
        for started, counted, gaps in ((now + 3600, 7, 1), (now - 5, 2, 2), (1000.0, 2, 2), (None, 2, 2)):
            peer.answer("GET", "/metrics", Answer(status=503))
            gate = gate_at(peer, steady)
            await gate.look()
            await gate.look()
            peer.answer("GET", "/metrics", text(page(5, 0, started=started)))
            await gate.look()
            peer.answer("GET", "/metrics", text(page(7, 0, started=started)))
            await gate.look()
            await gate.source.close()
            assert (seen(gate), gate.gaps) == ((counted, 0), gaps)


async def test_a_clock_that_is_set_back_hides_no_requests(peer: Peer) -> None:
    """What was scraped last is the latest, whatever the clock says."""
    clock = HandClock(WallClock().now())
    gate = gate_at(peer, clock=clock)
    for requests in (10, 20, 30):
        peer.answer("GET", "/metrics", text(page(requests, 0)))
        await gate.look(after=-3600)
    await gate.source.close()
    assert seen(gate) == (20, 0)
    assert all(look.evidence is None or look.evidence.seconds > 0 for look in gate.looks)


async def test_metrics_may_be_at_another_port_and_path(peer: Peer) -> None:
    """The target's traffic goes elsewhere than its metrics."""
    peer.answer("GET", "/internal/metrics", text(page(1, 0)))
    config = {**CONFIG, "port": peer.port, "path": "/internal/metrics"}
    gate = desk(config, candidate=Arm("2", urls=("http://127.0.0.1:1/shop",)))
    with pytest.raises(SourceUnavailable, match=r":\d+/shop/internal/metrics answered 404"):
        await gate.look()
    peer.answer("GET", "/shop/internal/metrics", text(page(1, 0)))
    await gate.look()
    await gate.source.close()


async def test_a_crash_loop_is_seen_in_the_candidate_alone(peer: Peer) -> None:
    """Each life counts from zero; an address that refuses the connection is down, one that answers 503 is not."""
    async with peers.peer() as steady:
        clock = HandClock(WallClock().now())
        before = Arm("2", urls=(steady.url,))
        gate = desk(CONFIG, clock, candidate=Arm("2", urls=(peer.url,)), baseline=before)
        seen: list[Lives] = []
        for good in (40, 80, 9, 50, 7):
            peer.answer("GET", "/metrics", text(page(good, 0)))
            steady.answer("GET", "/metrics", text(page(500 + good, 0)))
            look = await gate.look(after=5)
            seen += [look.evidence.lives] if look.evidence else []
        assert seen == [Lives(), Lives(restarts=1), Lives(), Lives(restarts=1, repeated=1)]
        peer.answer("GET", "/metrics", Answer(status=503))
        look = await gate.look(after=5)
        assert look.evidence is not None
        assert look.evidence.lives.down == 0
        await gate.source.close()
    dead = desk(CONFIG, clock, candidate=Arm("2", urls=(peer.url, steady.url)))
    peer.answer("GET", "/metrics", text(page(1, 0)))
    await dead.look()
    look = await dead.look(after=5)
    assert look.evidence is not None
    assert look.evidence.lives == Lives(down=1)
    await dead.source.close()


@pytest.mark.parametrize("shared", [False, True], ids=["an address each", "one address"])
async def test_a_process_that_states_no_start_and_left_its_address_began_anew(shared: bool) -> None:
    """However much it has counted since. Where the candidate is at the baseline's address, that is none of the
    baseline's restarts."""
    clock, port = HandClock(WallClock().now()), free_port()
    async with peers.peer() as steady:
        steady.answer("GET", "/metrics", text(page(500, 0)))
        at = (f"http://{HOST}:{port}",)
        baseline = Arm("0", urls=at) if shared else Arm("2", urls=(steady.url,))
        gate = desk(CONFIG, clock, candidate=Arm("2", urls=at), baseline=baseline)
        for version in ('version="0"', 'version="2"', 'version="2"', 'version="2"'):
            async with peers.peer(port=port) as life:
                life.answer("GET", "/metrics", text(page(9, 0).replace('version="2"', version)))
                await gate.look(after=5)
            with suppress(SourceUnavailable):
                await gate.look(after=5)
        await gate.source.close()
    found = [look.evidence for look in gate.looks if look.evidence is not None]
    assert sum(each.lives.restarts for each in found) == 2
    assert sum(each.lives.repeated for each in found) == 1
    assert sum(each.baseline_lives.restarts for each in found) == 0


@pytest.mark.parametrize(("reason", "restarts"), [(errno.EHOSTUNREACH, 0), (errno.ECONNREFUSED, 2)])
async def test_a_network_that_flaps_is_no_crash_loop(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, reason: int, restarts: int
) -> None:
    """Its process has gone on meanwhile, unlike one whose host says that nobody listens."""
    clock = HandClock(WallClock().now())
    gate = desk(CONFIG, clock, candidate=Arm("2", urls=(peer.url,)))

    async def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError(reason, os.strerror(reason))

    for requests in (100, 150, 200):
        peer.answer("GET", "/metrics", Answer(body=page(requests, 0), headers={"Connection": "close"}))
        await gate.look(after=5)
        with monkeypatch.context() as patch, suppress(SourceUnavailable):
            patch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", fail)
            await gate.look(after=5)
    await gate.source.close()
    found = [look.evidence for look in gate.looks if look.evidence is not None]
    assert sum(each.lives.restarts for each in found) == restarts
    assert sum(each.candidate.requests for each in found if each.candidate is not None) == 100


async def test_a_crash_loop_at_the_address_of_both_versions_is_the_candidates(peer: Peer) -> None:
    """The baseline has left it: the process that begins anew there, and says so, is none of its own."""
    both, clock = (peer.url,), HandClock(WallClock().now())
    gate = desk(CONFIG, clock, candidate=Arm("2", urls=both), baseline=Arm("0", urls=both))
    for _ in range(4):
        peer.answer("GET", "/metrics", text(page(5, 0, started=clock.now().timestamp() + 1)))
        await gate.look(after=5)
    await gate.source.close()
    found = [look.evidence for look in gate.looks if look.evidence is not None]
    assert [evidence.lives for evidence in found] == [Lives(1, 0), Lives(1, 1), Lives(1, 1)]
    assert [evidence.baseline_lives for evidence in found] == [Lives()] * 3


async def test_a_page_that_breaks_the_rules_of_openmetrics_is_read_as_text(peer: Peer) -> None:
    """Prometheus takes it, and healthd itself asked for that format: families that are interleaved, and a bare name."""

    def answers(n: int, request: Received) -> Answer:
        if "openmetrics" not in request.headers["Accept"]:
            return text(f'requests_total{{version="2",status="200"}} {n}\n')
        broken = (
            f'# TYPE requests counter\nrequests_total{{version="2"}} {n}\n# TYPE requests counter\nother 1\n# EOF\n'
        )
        return Answer(body=broken, headers={"Content-Type": "application/openmetrics-text; version=1.0.0"})

    gate = gate_at(peer, latency=None)
    for n in (10, 25):
        peer.answer("GET", "/metrics", partial(answers, n))
        await gate.look(after=1)
    await gate.source.close()
    assert seen(gate) == (15, 0)
    assert "openmetrics" not in peer.received[-1].headers["Accept"]
