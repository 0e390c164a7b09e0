"""Many gates at once: they share the journal's one writer, and the event loop."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.gate import GateState
from healthd_gates.judge.judge import Judge
from tests.fakes.gates import Script, config, replica, request, silent

SERVICES = [f"service-{number}" for number in range(60)]


def many() -> Any:
    service = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ["back"]}
    return config(services=dict.fromkeys(SERVICES, service))


async def test_sixty_deploys_that_start_at_once_all_have_their_gate(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the last of them waits longer for the journal than a write of any of them may."""
    async with replica(file, many()) as running:
        write = running.database.write

        class Slow:
            def __init__(self) -> None:
                self._write = write()

            async def __aenter__(self) -> Any:
                connection = await self._write.__aenter__()
                await asyncio.sleep(0.5)
                return connection

            async def __aexit__(self, *error: Any) -> Any:
                return await self._write.__aexit__(*error)

        monkeypatch.setattr(running.database, "write", Slow)
        starts = (running.keeper.start(request(service), caller="ci") for service in SERVICES)
        gates = await asyncio.gather(*starts)
        assert [gate.service for gate in gates] == SERVICES
        assert {gate.state for gate in gates} == {GateState.SETTLING}


async def test_looks_that_are_due_at_once_leave_the_loop_to_others_in_between(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To an answer for a probe, and to the statements of a transaction: none waits for more than one of them."""
    Script.act = silent
    told: list[str] = []
    step, loop = Judge.step, asyncio.get_running_loop()

    def judged(judge: Judge, *evidence: Any) -> Any:
        told.append("judged")
        loop.call_soon(told.append, "another's turn")
        return step(judge, *evidence)

    async with replica(file, many()) as running:
        monkeypatch.setattr(Judge, "step", judged)
        for service in SERVICES[:20]:
            await running.keeper.start(request(service), caller="ci")
        await asyncio.sleep(7)
    pairs = list(pairwise(told))
    assert told.count("judged") >= 20
    assert ("judged", "judged") not in pairs
