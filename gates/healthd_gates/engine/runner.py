"""One gate's life: await the switch → settle → observe → decide → act → watch. It ends with the gate, or when another
replica owns it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from healthd.journal.errors import JournalError
from healthd.runtime.events import set_within
from healthd_gates.domain.action_order import ActionRun, OrderState
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.standing import Standing, Verdict
from healthd_gates.engine import ramping, rollback_transitions, transitions
from healthd_gates.engine.backlog import Backlog
from healthd_gates.engine.change_events import ChangeEvents
from healthd_gates.engine.history import HistoryFetch, begin_fetch
from healthd_gates.engine.judge_restore import restored
from healthd_gates.engine.observer import Seen
from healthd_gates.engine.observer_factory import NotObservable, ObserverContext, build_observer
from healthd_gates.engine.ramp_sighting import Widening
from healthd_gates.engine.recorder import Record
from healthd_gates.engine.rollback_watch import RollbackWatch
from healthd_gates.engine.source_check import doubts_about
from healthd_gates.engine.source_outage import of_outage
from healthd_gates.engine.source_readers import SourceReaders
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Step
from healthd_gates.engine.ticker import Ticker
from healthd_gates.engine.turns import Turns
from healthd_gates.engine.weight_look import SeenRight, WeightLook
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules
from healthd_gates.store.gate_update import SeenEvidence
from healthd_gates.store.leases import Owned
from healthd_gates.store.outbox import Outbox

_log = structlog.get_logger(__name__)
_HOLDS_LOOKS = 4.0  # intervals for which a pass that is not stored yet holds
_ASK_OUTBOX_SECONDS = 3.0  # to poll for what other replicas do; changes of this one are notified
_EARLIER_INTERVALS = 720  # an hour of a watch that looks every five seconds


@dataclass(frozen=True, slots=True)
class Tools:
    """The dependencies that the gates of one replica share. `changed` is called for every stored step, `inherited` for
    a rollback that ended where it may not have been reported, `late` for every late tick.
    """

    observer_context: ObserverContext
    outbox: Outbox
    weights: WeightLook
    news: ChangeEvents
    changed: Callable[[Gate, Gate], None]
    inherited: Callable[[Gate], None]
    late: Callable[[float], None]
    turns: Turns = field(default_factory=Turns)


class GateRunner:
    """Runs a gate from its stored state to its end."""

    def __init__(self, owned: Owned, spec: GateSpec, tools: Tools) -> None:
        gate_store = tools.observer_context.gate_store
        self._record = Record(owned.gate, owned.token, owned.cursor, gate_store, tools.changed)
        self._spec, self._tools, self._gate_store = spec, tools, gate_store
        self._clock = tools.observer_context.clock
        self._resumed = owned.cursor is not None
        self._doubts: tuple[str, ...] | None = None
        self._widening: Widening | None = None
        self._unseen = 0.0
        self._right = SeenRight(self._clock, owned.cursor)

    @property
    def gate(self) -> Gate:
        """The gate as last stored."""
        return self._record.gate

    @property
    def token(self) -> int:
        """The token under which this runner owns the gate."""
        return self._record.token

    async def run(self) -> None:
        """Run until the gate is over. Raises LeaseLost, and JournalError when the stored data cannot be read."""
        while not self.gate.state.is_over:
            match self.gate.state:
                case GateState.AWAITING:
                    await self._observe("switch", self._spec.verdict_rules)
                case GateState.SETTLING | GateState.RAMPING | GateState.OBSERVING:
                    await self._observe("gate", self._spec.verdict_rules)
                case GateState.HELD:
                    await self._hold()
                case GateState.ACTING:
                    await self._see_actions_through()
                case _:  # a state that is none of these is a bug: one to stumble over, not to spin at
                    assert self.gate.state is GateState.WATCHING
                    await self._observe("watch", self._spec.watch_rules)

    async def _observe(self, stage: str, rules: Rules) -> None:
        """Read, judge and store at every tick, until the stage is over."""
        kept = self._record.cursor or {}
        last = datetime.fromisoformat(kept["at"]) if kept else self.gate.created_at
        try:
            lookout, traffic = build_observer(self.gate, self._spec, self._tools.observer_context, kept, last)
        except NotObservable as gone:
            await self._write(transitions.abort(self.gate, str(gone), self._spec, self._clock.now()))
            return
        fetch, backlog = None, Backlog(self._record, stage, self._clock)
        try:
            if stage != "watch" and not kept:
                await self._learn_earlier(traffic)
            judge = await self._bring_back(stage)
            fetch = await begin_fetch(traffic, self.gate, self._spec.policy.interval, self._gate_store)
            ticks = Ticker(self._clock, rules.timing.interval, self._first_tick(rules.timing.interval))
            while backlog.unstored or not self._is_past(stage):
                self._tools.late(await ticks.wait())
                seen = await lookout.look()
                now = self._clock.now()
                position = traffic.cursor if traffic else {"source": None}
                self._record.cursor = {**position, "at": now.isoformat(), **self._right.kept()}
                can_write = backlog.can_write()
                if seen.evidence is None:
                    if can_write and not backlog.unstored:
                        await backlog.write(Step(replace(self.gate, notes=seen.notes)), within=ticks.left)
                    continue
                if can_write and (learned := await self._learn_history(fetch, stage, backlog.unstored)):
                    judge = learned
                async with self._tools.turns:
                    standing = judge.step(seen.evidence)
                if seen.unasked:
                    standing = of_outage(standing)
                moment = seen.evidence.at
                backlog.take(seen.evidence)
                if self._widening is not None:
                    self._widening.take(seen.evidence)
                    if (allowance := self._spec.policy.allowance) is not None:
                        standing = replace(standing, allowance=self._widening.allows(allowance, standing))
                notes = await self._explained(seen.notes, traffic, standing.verdict)
                likely = transitions.on_evaluation(self.gate, standing, notes, self._spec, moment)
                waits = likely.decides(self.gate) and not likely.passes(self.gate)
                if not (can_write or waits or backlog.is_full):
                    continue
                await backlog.settle()
                if not can_write and likely.passes(self.gate):  # what it saw is old by now: it looks anew
                    continue
                step = await self._step(self._postponed(judge), standing, replace(seen, notes=notes), moment)
                if ramping.is_filled_by(self.gate, step):
                    judge.end_within(self._spec.policy.observe.max)
                if step.passes(self.gate):
                    await backlog.write_within(step, _HOLDS_LOOKS * rules.timing.interval)
                    continue
                waits = step.decides(self.gate) or self._spec.reads_journal
                await backlog.write(step, within=None if waits else ticks.left)
            await backlog.settle()
        finally:
            await backlog.close()
            if fetch is not None:
                await fetch.close()
            await lookout.close()
        if self.gate.state is GateState.WATCHING and stage == "watch":
            await self._write(transitions.on_monitoring_end(self.gate, self._clock.now()))

    def _postponed(self, judge: Judge) -> Gate:
        """Return the gate, which decides later by the time that nobody could look."""
        lost, self._unseen = judge.unseen_seconds - self._unseen, judge.unseen_seconds
        return transitions.postponed(self.gate, lost)

    async def _explained(
        self, notes: tuple[str, ...], traffic: SourceReaders | None, verdict: Verdict | None
    ) -> tuple[str, ...]:
        """Return the notes of an evaluation, with what looks misnamed in the source: asked at the first note, and again
        for a verdict. Harm that is proven waits for no explanation."""
        if not notes or traffic is None:
            return notes
        if verdict is not Verdict.FAIL and (self._doubts is None or verdict is not None):
            found = await asyncio.gather(*(doubts_about(source) for source in traffic.sources))
            self._doubts = tuple(doubt for doubts in found for doubt in doubts)
        return tuple(dict.fromkeys((*(self._doubts or ()), *notes)))

    async def _step(self, gate: Gate, standing: Standing, seen: Seen, moment: datetime) -> Step:
        """Return the step after a look: a verdict, a wider weight, or neither."""
        widening, notes, departed = self._widening, seen.notes, seen.departed
        if widening is None or gate.ramp is None or gate.decision is not None:
            return transitions.on_evaluation(gate, standing, notes, self._spec, moment, departed=departed)
        orders: Sequence[ActionRun] = ()
        gone = None
        if standing.verdict is not Verdict.FAIL:  # harm that is proven waits for no balancer
            gone = await self._tools.weights.of_ramp(gate, self._spec, self._right)
        if gate.ramp.is_under_way:
            try:
                every = await self._tools.outbox.of_gate(gate.id)
            except JournalError:  # nobody knows whether the last weight is done: it is judged, and not widened
                return transitions.on_evaluation(gate, standing, notes, self._spec, moment, departed=departed)
            orders = [order for order in every if order.purpose == gate.ramp.purpose]
        sighting = widening.look(gate.ramp)
        return transitions.on_ramp_look(
            gate, standing, notes, sighting, orders, self._spec, moment, departed=departed, gone=gone
        )

    def _is_past(self, stage: str) -> bool:
        gate = self.gate
        if stage == "switch":
            return gate.state is not GateState.AWAITING
        if stage == "gate":
            return gate.state not in (GateState.SETTLING, GateState.RAMPING, GateState.OBSERVING)
        over = gate.watch_until is None or self._clock.now() >= gate.watch_until
        return gate.state is not GateState.WATCHING or over

    async def _bring_back(self, stage: str, unstored: Sequence[Evidence] = ()) -> Judge:
        """Return the judge as it was after all evidence, and keep the fold of the ramp."""
        judge, self._widening = await restored(
            self.gate, stage, self._spec, self._gate_store, self._tools.turns, unstored
        )
        self._unseen = judge.unseen_seconds
        return judge

    async def _learn_earlier(self, traffic: SourceReaders | None) -> None:
        """Store what earlier gates of the service saw, where no source keeps a past, or keeps one of the candidate's
        version alone because the request names no baseline: it is what was there before."""
        knows = traffic is not None and traffic.historical and self.gate.baseline is not None
        if traffic is None or knows or await self._gate_store.evidence(self.gate.id, "earlier"):
            return
        if earlier := await self._gate_store.earlier_evidence(self.gate, _EARLIER_INTERVALS):
            told = {"state": self.gate.state.value, "earlier": len(earlier)}
            await self._write(Step(self.gate, ((EventKind.STATE, told),)), SeenEvidence("earlier", earlier))

    async def _learn_history(
        self, fetch: HistoryFetch | None, stage: str, unstored: Sequence[Evidence]
    ) -> Judge | None:
        """Store the history as soon as it is there; return the judge that knows it."""
        past = fetch.take() if fetch is not None else None
        if past is None:
            return None
        told = {"state": self.gate.state.value, "history": len(past)}
        await self._write(Step(self.gate, ((EventKind.STATE, told),)), SeenEvidence("history", past) if past else None)
        return await self._bring_back(stage, unstored) if past else None

    async def _hold(self) -> None:
        """Wait for a person, who takes the gate away from this runner; after the timeout nobody has decided."""
        left = (self.gate.decides_by - self._clock.now()).total_seconds()
        await asyncio.sleep(max(0.0, left))
        await self._write(transitions.on_hold_timeout(self.gate, self._spec, self._clock.now()))

    async def _see_actions_through(self) -> None:
        """Wait until the actions of the rollback are done, or given up; then process their results."""
        rollback = self.gate.rollback
        assert rollback is not None
        if rollback.state is RollbackState.CONFIRMING:
            orders = await self._tools.outbox.of_gate(self.gate.id)
            context, tools = self._tools.observer_context, self._tools
            watch = RollbackWatch(self._record, self._spec, context, tools.weights, self._right, tools.late)
            await self._write(await watch.run(rollback, orders))
            return
        while True:
            change = self._tools.news.expect(self.gate.id)
            orders = await self._tools.outbox.of_gate(self.gate.id)
            mine = [order for order in orders if order.purpose == rollback.purpose]
            if all(order.state is not OrderState.DUE for order in mine):
                break
            if (step := rollback_transitions.on_retry(self.gate, mine)) is not None:
                await self._write(step)
            await set_within(_ASK_OUTBOX_SECONDS, change)
        await self._write(rollback_transitions.on_actions_done(self.gate, mine, self._spec, self._clock.now()))

    async def _write(self, step: Step, seen: SeenEvidence | None = None) -> None:
        await self._record.write(step, self._clock.now(), seen)

    def _first_tick(self, every: float) -> float:
        """Return the delay of the first tick. A new gate evaluates at once. Gates that resume after a restart are
        spread, so that they do not all read at once."""
        return zlib.crc32(self.gate.id.encode()) / 2**32 * every if self._resumed else 0.0
