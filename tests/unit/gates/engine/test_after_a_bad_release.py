"""A release that was put back is no past of the healthy version: the next bad one is found as soon as the first."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import Replica, Script, config, replica, request
from tests.fakes.monitoring import LoopClock
from tests.fakes.past import Remembering

PER_SECOND = 37
QUICK = {
    "initial_delay": "2s",
    "interval": "1s",
    "blip": "2s",
    "observe": {"min": "3s", "max": "30s"},
    "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "before"}}],
    "quarantine": False,
}
SOON = timedelta(seconds=20)


class Shop:
    """The traffic of a service since `since`: what share of it fails changes with each switch, and its log says so of
    every second that has passed."""

    def __init__(self, since: timedelta, pause: float) -> None:
        self._clock, self._pause = LoopClock(), pause
        self._since = self._clock.now() - since
        self._changes: list[tuple[datetime, float]] = [(self._since, 0.0)]
        self._owed = 0.0

    def switch(self, failing: float) -> None:
        self._changes.append((self._clock.now(), failing))

    def look(self, _seconds: float) -> Evidence:
        self._owed += PER_SECOND * self._changes[-1][1]
        bad, self._owed = int(self._owed), self._owed % 1
        return Evidence(self._clock.now(), 1.0, Counts(PER_SECOND, bad))

    async def log(self, _source: Remembering, start: datetime, end: datetime, step: float) -> list[Evidence]:
        every = timedelta(seconds=step)
        moments = [start + number * every for number in range(1, (end - start) // every + 1)]
        return [Evidence(at, step, self._in(at - every, at)) for at in moments if at - every >= self._since]

    def _in(self, began: datetime, at: datetime) -> Counts:
        ends, bad = [*(moment for moment, _ in self._changes[1:]), at], 0.0
        for (moment, failing), end in zip(self._changes, ends, strict=True):
            bad += failing * PER_SECOND * max(0.0, (min(end, at) - max(moment, began)).total_seconds())
        return Counts(round((at - began).total_seconds()) * PER_SECOND, round(bad))

    async def release(self, running: Replica, version: str, failing: float, *, cancel: float | None = None) -> Gate:
        """Release a version, and put it back a while after its gate has refused it or was cancelled."""
        await asyncio.sleep(self._pause)
        gate = await running.keeper.start(request(version=version), caller="ci")
        self.switch(failing)
        if cancel is not None:
            await asyncio.sleep(cancel)
            await running.keeper.interventions.cancel(gate.id, caller="ann", reason="it looks bad")
        ended = await running.keeper.wait(gate.id, 600)
        if not ended.may_stay:
            await asyncio.sleep(7)
            self.switch(0.0)
        return ended


def shop_policy(**service: Any) -> Any:
    return config(policy=QUICK, service={"source": {"kind": "remembering"}, "on_fail": [], **service})


def verdict(gate: Gate) -> tuple[Verdict, timedelta]:
    assert gate.decision is not None
    return gate.decision.verdict, gate.decision.at - gate.created_at


@pytest.mark.parametrize(
    ("since", "pause", "cancel"),
    [(timedelta(minutes=20), 60.0, None), (timedelta(hours=3), 780.0, 8.0)],  # later than an incident that is forgiven
    ids=["inconclusive", "cancelled"],
)
async def test_the_next_ones_are_found_as_soon(
    file: Path, monkeypatch: pytest.MonkeyPatch, since: timedelta, pause: float, cancel: float | None
) -> None:
    """Whether the first was inconclusive or cancelled, and whoever put it back; and a healthy one passes."""
    shop = Shop(since, pause)
    monkeypatch.setattr(Remembering, "history", lambda *asked: shop.log(*asked))
    Script.act = shop.look
    async with replica(file, shop_policy()) as running:
        first = await shop.release(running, "6.2", 0.06 if cancel is None else 0.1, cancel=cancel)
        assert not first.may_stay
        assert cancel is not None or verdict(first)[0] is Verdict.INCONCLUSIVE
        for version in ("7.0", "7.1"):
            found, took = verdict(await shop.release(running, version, 0.1))
            assert (found, took <= SOON) == (Verdict.FAIL, True)
        assert (await shop.release(running, "8.0", 0.0)).may_stay
