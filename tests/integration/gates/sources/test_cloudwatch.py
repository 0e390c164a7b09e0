"""The numbers of a load balancer as CloudWatch gives them: by the minute, late, and with nothing for zero."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from aiobotocore.session import get_session

from healthd.model import FailureKind
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Finding
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from healthd_gates.sources.cloudwatch import CloudWatchConfig
from healthd_gates.sources.contract import Arm, SourceUnavailable
from tests.fakes.sources import Desk, HandClock, desk
from tests.integration.gates.sources import trimmed_moto
from tests.servers.moto import CREDENTIALS, Moto
from tests.servers.ports import free_port

BALANCER = "app/shop/50dc6c495c0c9188"
GROUPS = {"blue": "targetgroup/blue/73e2d6bc24d8a067", "green": "targetgroup/green/943f017f100becff"}
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
NOON = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


@pytest.fixture(scope="module")
def shared() -> Iterator[Moto]:
    with trimmed_moto.running() as running:
        yield running


@pytest.fixture
def server(shared: Moto, monkeypatch: pytest.MonkeyPatch) -> Moto:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    shared.reset()
    return shared


@pytest.fixture
async def balancer(server: Moto) -> AsyncIterator[Balancer]:
    async with get_session().create_client("cloudwatch", "us-east-1", endpoint_url=server.url) as client:
        yield Balancer(client)


class Balancer:
    """Reports its numbers, as the real one does: only those that are not zero, but for its hosts."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def report(
        self,
        minute: int,
        requests: int = 0,
        errors: int = 0,
        refused: int = 0,
        unanswered: int = 0,
        seconds: Sequence[float] = (),
        *,
        group: str = "green",
        hosts: bool = True,
    ) -> None:
        numbers: dict[str, list[float]] = {
            "RequestCount": [requests],
            "HTTPCode_Target_2XX_Count": [requests - errors - refused - unanswered],
            "HTTPCode_Target_5XX_Count": [errors],
            "TargetConnectionErrorCount": [refused],
            "TargetResponseTime": list(seconds),
        }
        data = [(name, value) for name, values in numbers.items() for value in values if value]
        if hosts:
            data += [("HealthyHostCount", 2.0), ("UnHealthyHostCount", 0.0)]
        dimensions = [{"Name": "LoadBalancer", "Value": BALANCER}, {"Name": "TargetGroup", "Value": GROUPS[group]}]
        at = NOON + timedelta(minutes=minute, seconds=1)
        metrics = [{"MetricName": n, "Value": v, "Timestamp": at, "Dimensions": dimensions} for n, v in data]
        await self._client.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=metrics)


def configured(server: Moto, **more: Any) -> dict[str, Any]:
    return {
        "kind": "cloudwatch",
        "region": "us-east-1",
        "endpoint": server.url,
        "load_balancer": f"{ARN}loadbalancer/{BALANCER}",
        "target_groups": {name: f"{ARN}{group}" for name, group in GROUPS.items()},
        "edges": ["100ms", "1s"],
        **more,
    }


def gate_at(server: Moto, *, minute: float = 0.0, baseline: bool = False, **more: Any) -> Desk:
    clock = HandClock(NOON + timedelta(minutes=minute))
    before = Arm("1", target="blue") if baseline else None
    return desk(configured(server, **more), clock, candidate=Arm("2", target="green"), baseline=before)


async def test_counts_of_every_minute_since_the_gate_began(server: Moto, balancer: Balancer) -> None:
    """Requests, errors, refused connections and answers by latency, exactly; of both groups."""
    await balancer.report(-1, 500, 500)
    await balancer.report(0, 900, 900)  # began before the gate
    gate = gate_at(server, minute=0.5, baseline=True)
    await gate.look()
    await balancer.report(1, 4, 1, 1, seconds=[0.05, 0.1, 0.3, 2.0])
    await balancer.report(1, 10, seconds=[0.01] * 10, group="blue")
    await balancer.report(2, 3, seconds=[0.02, 0.5, 0.6])
    await gate.look(after=100)
    await gate.look(after=60)
    await gate.source.close()
    candidate, baseline = gate.total(), gate.total("baseline")
    assert candidate is not None
    assert baseline is not None
    assert (candidate.requests, candidate.errors) == (7, 2)
    assert (baseline.requests, baseline.errors) == (10, 0)
    assert candidate.latency is not None
    assert candidate.latency.edges == (0.1, 1.0, inf)
    assert candidate.latency.counts == (3, 3, 1)
    assert candidate.latency.sum_seconds == pytest.approx(3.57)


async def test_late_numbers_are_added_to_their_minute(server: Moto, balancer: Balancer) -> None:
    """What a minute had already is not counted again; a minute is not read before it is over."""
    gate = gate_at(server)
    await gate.look()
    await balancer.report(1, 10)
    await balancer.report(2, 1000)
    await gate.look(after=130)
    total = gate.total()
    assert total is not None
    assert total.requests == 10
    await balancer.report(1, 7, 2)
    await gate.look(after=60)
    await gate.look(after=60)
    await gate.source.close()
    total = gate.total()
    assert total is not None
    assert (total.requests, total.errors) == (1017, 2)
    assert gate.resets == 0


async def test_what_no_target_answered_has_failed(server: Moto, balancer: Balancer) -> None:
    """A 502 or 504 of the load balancer itself is counted for no target group; the request is."""
    gate, ignoring = gate_at(server), gate_at(server, unanswered="ignored")
    await gate.look()
    await ignoring.look()
    for minute in range(1, 5):
        await balancer.report(minute, 1000, unanswered=500, seconds=[0.05] * 50)
    for desk_ in (gate, ignoring):
        await desk_.look(after=310)
        await desk_.look(after=30)
        await desk_.source.close()
    total, ignored = gate.total(), ignoring.total()
    assert total is not None
    assert ignored is not None
    assert total.requests == ignored.requests == 4000
    assert 1990 <= total.errors <= 2000
    assert ignored.errors == 0


async def test_numbers_that_come_piecemeal_are_no_errors(server: Moto, balancer: Balancer) -> None:
    """Requests are reported before their answers now and then; a minute that still grows says nothing of them."""
    gate = gate_at(server)
    await gate.look()
    await balancer.report(1, 1000, unanswered=1000)
    await gate.look(after=130)
    await balancer.report(1, 0, unanswered=-1000)  # the answers
    for _ in range(3):
        await gate.look(after=30)
    await gate.source.close()
    total = gate.total()
    assert total is not None
    assert (total.requests, total.errors) == (1000, 0)


async def test_no_requests_are_no_traffic_and_no_numbers_no_telemetry(server: Moto, balancer: Balancer) -> None:
    """The load balancer reports nothing for zero: that it has hosts tells the two apart."""
    gate = gate_at(server)
    await gate.look()
    assert (await gate.seen(after=70)).candidate is None
    await balancer.report(1)
    seen = (await gate.seen(after=60)).candidate
    assert seen is not None
    assert seen.requests == 0
    with pytest.raises(SourceUnavailable, match="had nothing new for 7m"):
        await gate.look(after=420)
    await gate.source.close()


async def test_between_its_numbers_a_gate_is_not_without_telemetry(server: Moto, balancer: Balancer) -> None:
    """They come three minutes late and in pairs; only what is later than the source itself allows is missed."""
    lateness = CloudWatchConfig.model_validate(configured(server)).lateness
    judge = Judge(Rules((ErrorRate(),), timing=Timing(interval=20, initial_delay=0, lateness=lateness)))
    gate, found = gate_at(server), []
    await gate.look()
    for minute in range(1, 16):
        if minute % 2 == 0 and minute < 7:
            await balancer.report(minute - 1, 1000, 5)
            await balancer.report(minute, 1000, 5)
        for _ in range(3):
            try:
                evidence = (await gate.look(after=20)).evidence
            except SourceUnavailable:
                evidence = Evidence(gate.clock.now(), 20.0, gaps=1)
            assert evidence is not None
            found.append((minute, judge.step(evidence).criteria[0].finding))
    await gate.source.close()
    heard = [finding for minute, finding in found if 4 <= minute <= 11]
    assert Finding.NO_TELEMETRY not in heard
    assert found[-1][1] is Finding.NO_TELEMETRY


async def test_cloudwatch_is_not_asked_more_often_than_stated(server: Moto, balancer: Balancer) -> None:
    """It costs money, and has nothing new."""
    gate = gate_at(server)
    await gate.look()
    await balancer.report(0, 5)
    server.pause()
    try:
        seen = await gate.seen(after=10)
    finally:
        server.resume()
    assert seen.candidate is None
    await gate.look(after=110)
    await gate.source.close()
    total = gate.total()
    assert total is not None
    assert total.requests == 5


async def test_a_cloudwatch_that_hangs_or_is_down_is_no_telemetry(server: Moto) -> None:
    """It fails no candidate."""
    hung, down = gate_at(server, timeout="300ms"), gate_at(server, endpoint=f"http://127.0.0.1:{free_port()}")
    server.pause()
    try:
        with pytest.raises(SourceUnavailable) as silence:
            await hung.look()
    finally:
        server.resume()
    with pytest.raises(SourceUnavailable) as refused:
        await down.look()
    await hung.source.close()
    await down.source.close()
    assert (silence.value.kind, refused.value.kind) == (FailureKind.TIMEOUT, FailureKind.CONNECT)


async def test_without_credentials_it_says_so(server: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest slip when the daemon moves to another machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    gate = gate_at(server)
    with pytest.raises(SourceUnavailable, match="credentials") as failure:
        await gate.look()
    await gate.source.close()
    assert failure.value.kind is FailureKind.AUTH
