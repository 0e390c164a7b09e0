"""A gate with its history: its evaluations, its log, its orders. Read from the ledger once, then only new entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from healthd_gates.domain.action_order import ActionRun
from healthd_gates.domain.gate import EventKind, Gate, GateEvent
from healthd_gates.engine.service import GateService
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.outbox import Outbox

_KEPT = 32  # histories
_AT_ONCE = 500  # events
_LOOKS = 5000  # of one gate; a watch may last for days, and then the picture begins later


@dataclass(frozen=True, slots=True)
class Sample:
    """One criterion at one evaluation: seconds since the gate began, and its numbers then. An infinite end is open."""

    seconds: float
    low: float | None
    high: float | None
    observed: float | None
    baseline: float | None


@dataclass(slots=True)
class GateHistory:
    """One gate. `looks` has the samples of each criterion; `widths` those of a ramp, its share as what was observed and
    its weight as the baseline; `log` has every event that is no evaluation."""

    gate: Gate
    looks: dict[str, list[Sample]] = field(default_factory=dict)
    widths: list[Sample] = field(default_factory=list)
    log: list[GateEvent] = field(default_factory=list)
    orders: Sequence[ActionRun] = ()
    seen: int = 0

    def absorb(self, event: GateEvent) -> None:
        self.seen = event.sequence
        if event.kind is not EventKind.LOOK:
            self.log.append(event)
            return
        seconds = (event.at - self.gate.created_at).total_seconds()
        for report in event.body.get("standing", {}).get("criteria", ()):
            samples = self.looks.setdefault(report["name"], [])
            samples.append(_sample(seconds, report))
            if len(samples) > _LOOKS:
                del samples[: _LOOKS // 10]
        if (ramp := event.body.get("ramp")) is not None:
            self.widths.append(Sample(seconds, None, None, _float(ramp.get("share")), _float(ramp.get("weight"))))


class GateHistories:
    """The histories that were requested recently."""

    def __init__(self, gate_service: GateService, gate_store: GateStore, outbox: Outbox) -> None:
        self._gate_service, self._gate_store, self._outbox = gate_service, gate_store, outbox
        self._gate_histories: OrderedDict[str, GateHistory] = OrderedDict()

    async def of(self, gate_id: str) -> GateHistory:
        """Return a gate's history up to now. Raises UnknownGate, JournalUnavailable, JournalError."""
        gate = await self._gate_service.get(gate_id)
        film = self._gate_histories.setdefault(gate_id, GateHistory(gate))
        self._gate_histories.move_to_end(gate_id)
        if len(self._gate_histories) > _KEPT:
            self._gate_histories.popitem(last=False)
        while True:  # also lines that are newer than the gate: others write of its actions
            events = await self._gate_store.events(gate_id, film.seen, _AT_ONCE)
            for event in events:
                if event.sequence > film.seen:  # another viewer may have been faster
                    film.absorb(event)
            if len(events) < _AT_ONCE:
                break
        if gate.decision is not None or gate.rollback is not None or gate.ramp is not None:
            film.orders = await self._outbox.of_gate(gate_id)
        film.gate = gate
        return film

    def seen(self, gate_id: str) -> GateHistory | None:
        """Return a history as far as it was read."""
        return self._gate_histories.get(gate_id)


def _sample(seconds: float, report: Mapping[str, Any]) -> Sample:
    low, high = report.get("interval") or (None, None)
    return Sample(seconds, _float(low), _float(high), _float(report.get("observed")), _float(report.get("baseline")))


def _float(value: Any) -> float | None:
    """Return a number of the ledger's JSON, in which infinity is a text."""
    return None if value is None else float(value)
