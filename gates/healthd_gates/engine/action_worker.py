"""Carries out the actions that are due in the outbox, of any replica: claims, attempts, stores the result, and retries.

The owner of a gate reads the results from the outbox; one attempt is made by `actions.executor`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from healthd.config.in_force import Current
from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import shielded
from healthd.runtime.events import set_within
from healthd_gates.actions.contract import ActionRequest, ActionResult, Ending
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import ActionRun, OrderState
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.change_events import ChangeEvents
from healthd_gates.engine.metrics import ActionMetrics
from healthd_gates.engine.spec import action_arms
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.gate_update import LeaseLost
from healthd_gates.store.locks import LockStore
from healthd_gates.store.outbox import Outbox
from healthd_gates.store.serialization import UnreadableGate

_log = structlog.get_logger(__name__)
_LOOK_SECONDS, _IDLE_SECONDS = 1.0, 5.0  # between polls while something is due; while nothing is
_AT_ONCE = 64  # so many that receivers that hang leave room for one that does not
_RENEWALS = 4  # within a lease, so that one that is late or fails loses no claim
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_YOUNG, _YOUNG_PAUSE = 600.0, 15.0  # while people are at it, an action whose obstacle is gone waits no longer than this
_LONGEST_WISH = 900.0  # the longest pause that a receiver may ask for
_TRIES_WITHOUT_BASELINE = 3  # a health check may fail for a moment
_GIVE_UP_UNKNOWN = 86400.0  # for an action that the configuration no longer has, or does not have yet
_JOURNAL_PAUSE = 1.0
_LAST_SECONDS = 2.0  # that attempts under way get when the daemon stops


@dataclass(frozen=True, slots=True)
class _Job:
    order: ActionRun
    claimed_at: float  # steady
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the gates that the worker shares."""

    outbox: Outbox
    gate_store: GateStore
    lock_store: LockStore
    attempts: Attempts
    metrics: ActionMetrics
    news: ChangeEvents
    clock: Clock


class ActionWorker:
    """One replica's worker. When a replica fell silent, its attempt is taken over once the lease ends; then the same
    idempotency key may reach a receiver twice.
    """

    def __init__(self, desk: Desk, config: Current[Config]) -> None:
        self._desk, self._in_force = desk, config
        self._jobs: dict[str, _Job] = {}
        self._news = asyncio.Event()
        self._hold_at = 0.0
        self._was_away, self._spares_lapsed_until = False, -math.inf

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._in_force.now

    def wake(self) -> None:
        """Wake the worker: something may be due now."""
        self._news.set()

    async def run(self) -> None:
        """Run until cancelled. While the journal is down this retries; attempts under way go on."""
        while True:
            self._news.clear()
            due_in = 0.0
            try:
                await self._hold()
                due_in = await self._take_up()
            except JournalError as error:
                self._was_away = True
                _log.debug("outbox waiting for the journal", problem=str(error))
            # New orders of this replica wake it; those of another one are polled, in case that is dead.
            pause = min(max(due_in, _LOOK_SECONDS), _IDLE_SECONDS)
            await set_within(min(pause, self._lease / _RENEWALS if self._jobs else self._lease), self._news)

    async def close(self) -> None:
        """Let attempts under way end if they do so soon; the others are left to another replica, or the next start."""
        jobs = list(self._jobs.values())
        if not jobs:
            return
        _, slow = await asyncio.wait({job.task for job in jobs}, timeout=_LAST_SECONDS)
        await self._drop([job for job in jobs if job.task in slow])

    async def _drop(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            job.task.cancel()
        if not jobs:
            return
        await asyncio.wait({job.task for job in jobs})
        try:
            await self._desk.outbox.let_go([job.order for job in jobs])
        except JournalError as error:
            _log.warning("actions not released, another replica takes over after the lease", problem=str(error))

    def _spares_lapsed(self) -> bool:
        """Return true for a lease after the journal was away: no claim could be prolonged meanwhile, and the owner of
        one that has ended may have made its attempt, and store the result now. A journal that fails again and again
        protects an owner in every other lease alone: it may be dead."""
        now = self._desk.clock.steady()
        if self._was_away and now >= self._spares_lapsed_until + self._lease:
            self._spares_lapsed_until = now + self._lease
        self._was_away = False
        return now < self._spares_lapsed_until

    @property
    def _lease(self) -> float:
        return self.config.gates.lease_duration

    async def _hold(self) -> None:
        """Prolong the claims of attempts under way; those that another replica has claimed meanwhile are its own."""
        now = self._desk.clock.steady()
        if not self._jobs or now < self._hold_at:
            return
        orders = [job.order for job in self._jobs.values()]
        held = await self._desk.outbox.hold(orders, self._lease)
        self._hold_at = now + self._lease / _RENEWALS
        for order in orders:
            job = self._jobs.get(order.key)
            if order.key not in held and job is not None:
                job.task.cancel()

    async def _take_up(self) -> float:
        """Start the attempts that can be made now. Return in how many seconds something else is due."""
        backlog = await self._desk.outbox.backlog()
        self._desk.metrics.oldest_due.set(backlog.waits)
        room, spares = _AT_ONCE - len(self._jobs), self._spares_lapsed()
        if not backlog.is_claimable or room <= 0:
            return backlog.due_in
        for order in await self._desk.outbox.claim(self._lease, room, but=self._jobs, spares_lapsed=spares):
            task = asyncio.create_task(self._see_to(order), name=f"order:{order.key}")
            self._jobs[order.key] = _Job(order, self._desk.clock.steady(), task)
            task.add_done_callback(partial(self._strike_off, order.key))
        return _LOOK_SECONDS if spares else 0.0

    def _strike_off(self, key: str, task: asyncio.Task[None]) -> None:
        del self._jobs[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("action result not stored, internal error", key=key, error=repr(error))
        self.wake()

    async def _see_to(self, order: ActionRun) -> None:
        try:
            gate, quarantined = await self._gate_of(order)
        except UnreadableGate as error:  # between two tries, a replica of a release that reads it may claim the order
            outcome = ActionResult(Ending.RETRY, str(error))
        else:
            if gate is None:  # deleted meanwhile, and the order with it
                return
            outcome = await self._try(order, gate, quarantined)
        await self._settle(order, outcome)
        self._desk.news.publish(order.gate_id)

    async def _gate_of(self, order: ActionRun) -> tuple[Gate | None, frozenset[str]]:
        """Return the gate, and the versions of its service that failed a gate. Raises UnreadableGate."""
        while True:
            try:
                gate = await self._desk.gate_store.find(order.gate_id)
                return gate, await self._desk.lock_store.quarantined_of(gate.service) if gate else frozenset()
            except UnreadableGate:
                raise
            except JournalError:
                await asyncio.sleep(_JOURNAL_PAUSE)

    async def _try(self, order: ActionRun, gate: Gate, quarantined: frozenset[str]) -> ActionResult:
        config = self.config.actions.get(order.action)
        if self._age(order) >= self._give_up_after(order):
            return ActionResult(Ending.REFUSED, f"too late to begin: {order.detail or 'it was never tried'}")
        if config is None:
            return ActionResult(Ending.RETRY, f"no action is called {order.action} in the configuration")
        arms = action_arms(gate.service, self.config.services.get(gate.service), gate.candidate, gate.baseline)
        begun = self._desk.clock.steady()
        told = ActionRequest(order.key, order.action, order.occasion, gate, arms, quarantined, order.weight)
        outcome = await self._desk.attempts.execute(config, told)
        self._desk.metrics.tried(order.action, config.kind, outcome.ending, self._desk.clock.steady() - begun)
        log = _log.info if outcome.ending is Ending.DONE else _log.warning
        log("action", action=order.action, gate=gate.id, ending=outcome.ending.value, detail=outcome.detail)
        return outcome

    async def _settle(self, order: ActionRun, outcome: ActionResult) -> None:
        """Store the result of an attempt, however long the journal is down: until then nobody else may retry."""
        pause = self._pause(order, outcome)
        state, problem = self._state_after(order, outcome, pause), ""
        while True:
            try:
                settling = self._desk.outbox.settle(order, state, outcome.detail, again_in=pause)
                await shielded(settling, name=f"settle:{order.key}")
            except JournalError as error:
                if problem != str(error):
                    _log.warning("action result waiting for the journal", key=order.key, problem=str(error))
                problem = str(error)
                await asyncio.sleep(_JOURNAL_PAUSE)
            except LeaseLost:
                _log.info("action completed by another replica", key=order.key)
                return
            else:
                self._desk.metrics.settled(order.action, state)
                return

    def _state_after(self, order: ActionRun, outcome: ActionResult, pause: float) -> OrderState:
        match outcome.ending:
            case Ending.DONE:
                return OrderState.SEEN if outcome.seen else OrderState.DONE
            case Ending.REFUSED:
                return OrderState.GIVEN_UP
            case Ending.NO_BASELINE if order.tries + 1 >= _TRIES_WITHOUT_BASELINE:
                return OrderState.NO_BASELINE
        return OrderState.GIVEN_UP if self._age(order) + pause >= self._give_up_after(order) else OrderState.DUE

    def _pause(self, order: ActionRun, outcome: ActionResult) -> float:
        """Return the seconds to the next attempt: doubled each time, with jitter, and no less than the receiver
        asks."""
        most = _YOUNG_PAUSE if self._age(order) < _YOUNG else _LONGEST_PAUSE
        backoff: float = min(most, _FIRST_PAUSE * 2.0 ** min(order.tries, 16))
        return max(min(outcome.after, _LONGEST_WISH), backoff * random.uniform(0.5, 1.0))

    def _age(self, order: ActionRun) -> float:
        job = self._jobs[order.key]
        return order.age + self._desk.clock.steady() - job.claimed_at

    def _give_up_after(self, order: ActionRun) -> float:
        config = self.config.actions.get(order.action)
        return config.retry_for if config else _GIVE_UP_UNKNOWN
