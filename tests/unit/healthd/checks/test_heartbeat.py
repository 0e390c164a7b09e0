"""Something else must report in."""

from healthd.checks.contract import CheckContext
from healthd.checks.heartbeat import Heartbeat, HeartbeatConfig
from healthd.model import FailureKind, Status
from tests.fakes.monitoring import HandClock


def heartbeat() -> tuple[Heartbeat, HandClock]:
    clock = HandClock()
    config = HeartbeatConfig.model_validate({"period": "1h", "grace": "5m"})
    return Heartbeat(config, CheckContext("backup", clock, {})), clock


async def test_on_time() -> None:
    """Healthy from a report on, until period and grace are over, to the second."""
    check, clock = heartbeat()
    check.beat()
    clock.seconds += 3899
    result = await check.probe()
    assert result.status is Status.HEALTHY
    assert result.observed["lastBeat"] == "2026-03-29T00:16:40Z"
    assert result.observed["nextBefore"] == "2026-03-29T01:21:40Z"
    clock.seconds += 1
    result = await check.probe()
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXPIRED)
    assert result.message == "nothing reported in for 1h5m"


async def test_a_start_is_not_a_report() -> None:
    """After a start it has a period and its grace to report in: not red before that, and not green either."""
    check, clock = heartbeat()
    result = await check.probe()
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.EXPIRED)
    assert result.observed["lastBeat"] is None
    clock.seconds += 3900
    assert (await check.probe()).status is Status.UNHEALTHY


async def test_a_late_report_heals() -> None:
    """The first report after an outage ends it."""
    check, clock = heartbeat()
    clock.seconds += 10_000
    check.beat()
    assert (await check.probe()).status is Status.HEALTHY
