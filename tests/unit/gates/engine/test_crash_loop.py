"""A candidate whose processes die again and again, while what they count in between is good."""

import asyncio
from pathlib import Path

import pytest

from healthd_gates.domain.evidence import Counts, Evidence, Lives
from healthd_gates.domain.standing import Reason, Verdict
from tests.fakes.gates import Script, config, healthy, later, replica, request
from tests.fakes.monitoring import MIDNIGHT


def _crashing(seconds: float) -> Evidence:
    """Good numbers of processes that die again and again."""
    lives = Lives(restarts=1, repeated=int(seconds > 10))
    return Evidence(MIDNIGHT, 5.0, Counts(1000, 0), lives=lives)


@pytest.mark.parametrize(("watched", "from_second"), [(False, 20), (True, 400)], ids=["in the gate", "in the watch"])
async def test_a_crash_loop_puts_the_traffic_back(file: Path, from_second: int, *, watched: bool) -> None:
    """It is no proof of harm, so that the version is not put into quarantine."""
    Script.act = later(from_second, healthy, _crashing)
    policy = {"watch": "1h", "observe": {"min": "1m", "max": "10m"}}
    async with replica(file, config(policy=policy)) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 900)
        await asyncio.sleep(from_second + 60)
        gate = await running.keeper.get(gate.id)
        assert gate.decision is not None
        assert gate.decision.verdict is (Verdict.PASS if watched else Verdict.INCONCLUSIVE)
        assert gate.standing is not None
        assert gate.standing.reason is Reason.CRASH_LOOPING
        assert gate.rollback is not None
        assert gate.rollback.trigger == ("watch" if watched else "decision")
        assert [order.action for order in await running.keeper.orders(gate.id)] == ["back"]
        assert not await running.keeper.locks.quarantined()
