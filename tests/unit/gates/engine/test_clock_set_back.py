"""A host whose clock is set back: which gate is the last one does not go by the clock."""

from datetime import timedelta
from pathlib import Path

from healthd_gates.domain.gate import GateState
from tests.fakes.gates import config as configured
from tests.fakes.gates import request, start_replica
from tests.fakes.monitoring import LoopClock


async def test_the_gate_that_was_started_last_is_the_last_one(file: Path) -> None:
    """Of its service and of all: lists, `--last`, and what is asked for page by page."""
    clock = LoopClock()
    running = await start_replica(file, configured(), clock)
    try:
        started = []
        for back, service in enumerate(["api", "web", "api", "api"]):
            clock.wall = -timedelta(minutes=30) * back
            gate = await running.keeper.start(request(service, version=f"{back}.0"), caller="ci")
            started.append(gate.id)
            stored = await running.keeper.get(gate.id)
            assert (stored.id, stored.state) == (gate.id, GateState.SETTLING)
            await running.keeper.interventions.cancel(gate.id, caller="ann", reason="enough")
        store = running.gates.gate_store
        page = await store.page(None, (), 2, None)
        rest = await store.page(None, (), 2, page.next)
        assert [gate.id for gate in (*page.gates, *rest.gates)] == started[::-1]
        last = await store.page("api", (), 1, None)
        assert [gate.candidate.version for gate in last.gates] == ["3.0"]
    finally:
        await running.stop()
