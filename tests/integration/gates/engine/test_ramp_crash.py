"""A ramp whose replica dies, or loses its journal, in the middle of a change of weight, on PostgreSQL: another one goes
on, nothing is lost and nothing doubled.
"""

from contextlib import suppress
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest

from healthd.runtime.clock import SystemClock
from healthd_gates.actions.contract import ActionRequest, ActionResult, Ending
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import Note, NoteConfig, Replica, Script, config, request, start_replica
from tests.servers import tcp
from tests.servers.ports import HOST
from tests.servers.waiting import until

_POLICY = {
    "initial_delay": "0s",
    "interval": "1s",
    "blip": "1s",
    "observe": {"min": "2s", "max": "60s"},
    "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}],
    "ramp": {"budget": 1e6, "steps": ["5%", "50%"]},
}


@pytest.mark.usefixtures("_scripted")
@pytest.mark.parametrize("moment", ["before the effect", "after the effect"])
async def test_the_heir_goes_on_where_it_was(postgresql_dsn: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies with the second weight claimed, once before and once after the balancer has it."""
    weight, tries, dying = 0.0, list[tuple[str, float]](), True
    alive: list[Replica] = []

    class Dead(Exception):  # noqa: N818 - an end, not an error
        """The replica is gone in the middle of this."""

    def act(order: ActionRequest) -> ActionResult:
        nonlocal weight
        assert order.weight is not None
        if order.weight == 0.5 and dying:
            if moment == "after the effect":
                weight = order.weight
                tries.append((order.key, order.weight))
            raise Dead
        tries.append((order.key, order.weight))
        weight = order.weight
        return ActionResult(Ending.DONE, f"weight {weight}")

    def counts(_seconds: float) -> Any:
        n, m = 10_000 * weight, 10_000 * (1 - weight)
        return (Counts(n, 0) if n else None, Counts(m, 0) if m else None)

    monkeypatch.setattr(Note, "act", act)
    monkeypatch.setattr(NoteConfig, "sets_weight", property(lambda _: True))
    monkeypatch.setattr(Script, "act", staticmethod(counts))
    configuration = config(policy=_POLICY, service={"on_ramp": ["back"], "on_fail": []}, gates={"lease_duration": "2s"})
    clock = SystemClock()
    try:
        alive.append(await start_replica(postgresql_dsn, configuration, clock))
        baseline = Version(version="1.0")
        gate = await alive[0].keeper.start(request(baseline=baseline), caller="ci")

        async def comes_to_it() -> bool:
            orders = await alive[0].keeper.orders(gate.id)
            return any(order.weight == 0.5 and order.tries for order in orders)

        await until(comes_to_it, "the second weight")
        await alive.pop().crash()
        dying = False
        alive.append(await start_replica(postgresql_dsn, configuration, clock))

        async def is_over() -> bool:
            return (await alive[0].keeper.get(gate.id)).state.is_over

        await until(is_over, "the end of the gate", 60.0)
        ended = await alive[0].keeper.get(gate.id)
        assert ended.decision is not None
        assert ended.decision.verdict is Verdict.PASS, ended.decision
        orders = await alive[0].keeper.orders(gate.id)
        assert [(order.weight, order.state) for order in orders] == [
            (share, OrderState.DONE) for share in (0.05, 0.5, 1.0)
        ]
        assert dict(tries) == {order.key: order.weight for order in orders}
        assert all(low <= high for (_, low), (_, high) in pairwise(tries))
        assert weight == 1.0
    finally:
        for one in alive:
            with suppress(Exception):
                await one.stop()


@pytest.mark.usefixtures("_scripted")
@pytest.mark.parametrize("cut_at", [0.05, 0.5, 1.0])
async def test_a_replica_that_is_cut_off_leaves_it_to_another(
    postgresql_dsn: str, cut_at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal is silent from the very moment at which the balancer has the weight; it comes back at the end, and
    changes nothing."""
    monkeypatch.setattr("healthd.journal.engines.COMMAND_SECONDS", 1.0)
    monkeypatch.setattr("healthd.journal.engines.CONNECT_SECONDS", 1.0)
    weight, tries = 0.0, list[tuple[str, float]]()
    place = urlsplit(postgresql_dsn)

    def act(order: ActionRequest) -> ActionResult:
        nonlocal weight
        assert order.weight is not None
        if order.weight == cut_at and weight < cut_at:
            path.black_hole()
        tries.append((order.key, order.weight))
        weight = order.weight
        return ActionResult(Ending.DONE, f"weight {weight}")

    def counts(_seconds: float) -> Any:
        n, m = 10_000 * weight, 10_000 * (1 - weight)
        return (Counts(n, 0) if n else None, Counts(m, 0) if m else None)

    monkeypatch.setattr(Note, "act", act)
    monkeypatch.setattr(NoteConfig, "sets_weight", property(lambda _: True))
    monkeypatch.setattr(Script, "act", staticmethod(counts))
    configuration = config(policy=_POLICY, service={"on_ramp": ["back"], "on_fail": []}, gates={"lease_duration": "2s"})
    alive: list[Replica] = []
    assert place.port is not None
    async with tcp.proxy(place.port, place.hostname or HOST) as path:
        by_path = place._replace(netloc=place.netloc.replace(str(place.port), str(path.port)))
        try:
            alive.append(await start_replica(by_path.geturl(), configuration, SystemClock()))
            gate = await alive[0].keeper.start(request(baseline=Version(version="1.0")), caller="ci")
            await until(lambda: weight == cut_at, "the weight at which it is cut off")
            alive.append(await start_replica(postgresql_dsn, configuration, SystemClock()))

            async def is_over() -> bool:
                return (await alive[1].keeper.get(gate.id)).state.is_over

            await until(is_over, "the end of the gate", 60.0)
            await path.pass_through()
            assert path.accepted
            ended = await alive[0].keeper.wait(gate.id, 30)
            assert ended.decision is not None
            assert ended.decision.verdict is Verdict.PASS, ended.decision
            orders = await alive[1].keeper.orders(gate.id)
            assert [(order.weight, order.state) for order in orders] == [
                (share, OrderState.DONE) for share in (0.05, 0.5, 1.0)
            ]
            assert dict(tries) == {order.key: order.weight for order in orders}
            assert all(low <= high for (_, low), (_, high) in pairwise(tries))
            assert weight == 1.0
        finally:
            await path.pass_through()
            for one in alive:
                with suppress(Exception):
                    await one.stop()
