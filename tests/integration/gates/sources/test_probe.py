"""Synthetic requests to real targets, good ones and bad ones."""

from __future__ import annotations

import time
from collections import Counter as Tally

import aiohttp
import pytest

from healthd.model import FailureKind
from healthd_gates.domain.evidence import Counts
from healthd_gates.sources import open_loop
from healthd_gates.sources.contract import Arm, SourceUnavailable
from tests.fakes.sources import Desk, desk
from tests.integration.gates.sources import shop
from tests.integration.gates.sources.shop import Load, Shop
from tests.servers import peers, tcp
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port
from tests.servers.waiting import until

RATE = 40.0  # requests a second


def gate_at(*urls: str, baseline: str | None = None, **more: object) -> Desk:
    config = {"kind": "probe", "rate": RATE, "timeout": "10s", **more}
    return desk(config, candidate=Arm("2", urls=urls), baseline=Arm("1", urls=(baseline,)) if baseline else None)


async def counted(gate: Desk, requests: int) -> Counts:
    """Look until that many requests were counted; all counts of the candidate."""
    await gate.look()

    async def enough() -> bool:
        await gate.look()
        total = gate.total()
        return total is not None and total.requests >= requests

    await until(enough, f"{requests} requests")
    total = gate.total()
    assert total is not None
    return total


async def unavailable(gate: Desk) -> SourceUnavailable:
    """Look until the source says why it has nothing to say."""
    failures = []

    async def failed() -> bool:
        try:
            await gate.look()
        except SourceUnavailable as failure:
            failures.append(failure)
        return bool(failures)

    await until(failed, "the source is unavailable")
    return failures[0]


async def served(target: Shop) -> Load:
    """What the target itself counted."""
    async with aiohttp.ClientSession(target.url) as client, client.get("/metrics") as response:
        lines = [line for line in (await response.text()).splitlines() if line.startswith("shop_requests_total{")]
    return Load(Tally({int(line.split('status="')[1][:3]): int(float(line.rsplit(" ", 1)[1])) for line in lines}))


async def test_counts_are_those_of_the_target() -> None:
    """Good, wrong and slow answers, to the last one, each in its bucket."""
    requests = [{"get": "/"}, {"get": "/fail"}, {"get": "/slow"}]
    with shop.running("2") as target:
        gate = gate_at(target.url, requests=requests, edges=["200ms", "900ms"], rate=5.0)
        await gate.look()

        async def agreed() -> bool:
            await gate.look()
            total, own = gate.total(), await served(target)
            if total is None or total.latency is None or own.requests < 6:
                return False
            # What healthd itself was too busy to send or to measure is left out, and said to be: a gap each.
            assert own.requests - gate.gaps - 2 <= total.requests <= own.requests
            assert own.log[500] - gate.gaps - 2 <= total.errors <= own.log[500]
            return gate.gaps > 0 or (total.requests, total.errors) == (own.requests, own.log[500])

        await until(agreed, "the counts of both sides are the same between two requests")
        await gate.source.close()
    assert gate.resets == 0


async def test_a_wrong_answer_is_an_error_with_a_latency(peer: Peer) -> None:
    """And a right one is not, whatever its class: the status is what the configuration says."""
    peer.answer("GET", "/account", Answer(status=401))
    peer.answer("GET", "/", Answer(status=500))
    gate = gate_at(peer.url, requests=[{"get": "/account", "status": 401}, {"get": "/"}])
    total = await counted(gate, 20)
    await gate.source.close()
    assert total.latency is not None
    assert 0 < total.latency.total <= total.requests  # without those while this process stood still
    assert abs(total.errors - total.requests / 2) <= 1 + gate.gaps


async def test_a_connection_that_fails_is_an_error_without_a_latency(peer: Peer) -> None:
    """Else a target that refuses at once would look fast; the note says what it was."""
    peer.answer("GET", "/", Answer(hang_up=True))
    for url in (f"http://127.0.0.1:{free_port()}", peer.url):
        gate = gate_at(url)
        total = await counted(gate, 10)
        await gate.source.close()
        assert total.errors == total.requests
        assert total.latency is not None
        assert total.latency.total == 0
        assert "were not answered" in gate.looks[-1].notes[0]


async def test_a_silent_target_is_seen_at_the_full_rate() -> None:
    """Every request that was due fails at its own timeout: none waits for those before, and all are slow."""
    with tcp.silent() as listener:
        gate = gate_at(f"http://127.0.0.1:{listener.port}", timeout="500ms", edges=["100ms", "500ms"])
        began = time.monotonic()
        total = await counted(gate, 20)
        due = RATE * (time.monotonic() - began - 0.5)
        await gate.source.close()
    assert total.requests + gate.gaps >= due / 2  # one at a time would be a twentieth
    assert total.errors == total.requests
    assert total.latency is not None
    assert total.latency.counts == (0, 0, total.requests)


async def test_an_edge_lies_at_every_limit_of_the_policy(peer: Peer) -> None:
    """So that the latency criterion has an exact count there."""
    peer.answer("GET", "/", Answer())
    gate = desk({"kind": "probe", "rate": RATE}, candidate=Arm("2", urls=(peer.url,)), edges=(0.333,))
    total = await counted(gate, 1)
    await gate.source.close()
    assert total.latency is not None
    assert 0.333 in total.latency.edges


@pytest.mark.usefixtures("hung_resolver")
@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("nowhere.invalid", "nowhere.invalid cannot be resolved"),
        ("hung.example", "the name hung.example was not resolved within 2 s"),
    ],
)
async def test_what_is_healthds_own_fault_counts_for_nothing(host: str, why: str) -> None:
    """A name that cannot be resolved, or not in time, says nothing of the candidate."""
    gate = gate_at(f"http://{host}", timeout="2s")
    failure = await unavailable(gate)
    await gate.source.close()
    assert failure.kind is FailureKind.EXHAUSTED
    assert f"could not ask: {why}" in str(failure)


async def test_a_name_is_resolved_before_the_clock_starts() -> None:
    """A target that has a name is asked by it."""
    with shop.running("2") as target:
        gate = gate_at(f"http://localhost:{target.port}", requests=[{"get": "/"}])
        total = await counted(gate, 10)
        await gate.source.close()
    assert total.errors == 0


async def test_a_gate_that_was_killed_goes_on(peer: Peer) -> None:
    """Another process counts from zero: the change of hands is a gap, and no process of the service began anew."""
    peer.answer("GET", "/", Answer())
    first = gate_at(peer.url)
    await counted(first, 10)
    await first.source.close()
    second = gate_at(peer.url)
    second.cursor = first.cursor
    await counted(second, 10)
    await second.source.close()
    assert second.resets == 0
    assert second.gaps >= 1
    said = [note for look in second.looks for note in look.notes]
    assert said.count("candidate: healthd began to send these requests anew, and counts them from 0 again") == 1


async def test_both_arms_get_the_same_rate_and_all_addresses_a_turn(peer: Peer) -> None:
    """A concurrent baseline sees what the candidate sees."""
    async with peers.peer() as second, peers.peer() as baseline:
        for target in (peer, second, baseline):
            target.answer("POST", "/login", Answer(status=401))
        requests = [{"post": "/login", "status": 401, "headers": {"X-Probe": "1"}, "json": {"user": "healthd"}}]
        gate = gate_at(peer.url, second.url, baseline=baseline.url, requests=requests)
        await counted(gate, 40)
        await gate.source.close()
        one, other, old = (len(target.received) for target in (peer, second, baseline))
        assert abs(one - other) <= 3 + gate.gaps  # some may be under way at the end
        assert abs(one + other - old) <= 12 + gate.gaps
        request = peer.received[0]
        assert (request.headers["X-Probe"], request.json()) == ("1", {"user": "healthd"})
        assert gate.total("baseline") is not None


async def test_unreadable_tls_files_are_no_telemetry(peer: Peer) -> None:
    """It is the configuration that is wrong, not the candidate."""
    gate = gate_at(peer.url, tls={"ca": "/nowhere/ca.pem"})
    failure = await unavailable(gate)
    await gate.source.close()
    assert failure.kind is FailureKind.MISCONFIGURED
    assert "no requests are sent: FileNotFoundError" in str(failure)


async def test_answers_count_while_healthd_stands_still(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own pauses make times unknown, and neither requests nor errors: those are no gaps."""
    monkeypatch.setattr(open_loop, "_STALL", -10.0)  # as if it did all the time
    peer.answer("GET", "/", Answer(status=500))
    gate = gate_at(peer.url)
    total = await counted(gate, 10)
    await gate.source.close()
    assert total.errors == total.requests
    assert total.latency is not None
    assert total.latency.total == 0
