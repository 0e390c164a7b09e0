"""Checks that are spread over the replicas that share the journal: each runs on some, and all show what those found.

Nothing is trusted to be run elsewhere but what is seen to be: a replica runs every check itself whose result did not
come in time, and all checks while it cannot read the journal. So the journal, and another replica's end or fault, cost
no more than probes that are made twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol

import structlog

from healthd.checks.contract import CheckConfig
from healthd.journal.errors import JournalError
from healthd.journal.findings import Exchange, Finding, Runner
from healthd.journal.leases import LEASE, LOOK, Identity
from healthd.model import Probe, Transition
from healthd.monitoring.board import Board
from healthd.monitoring.findings import Written, is_better, mark_of, state_of
from healthd.monitoring.monitor import quiet_after
from healthd.monitoring.rendezvous import in_order
from healthd.monitoring.schedule import STAGGER
from healthd.monitoring.state import CheckState
from healthd.monitoring.suite import Suite
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_EXCHANGE = 5.0  # seconds that an exchange may take
_AT_ONCE = 500  # checks that are assigned without a pause


class Store(Protocol):
    """Store of findings. Its coroutines raise JournalError."""

    async def exchange(
        self, offers: Mapping[str, str], ages: Mapping[str, float], changed: Mapping[str, Finding]
    ) -> Exchange: ...

    async def leave(self) -> None: ...


class Spread:
    """The checks of `wanted()`, which this replica runs together with the others."""

    def __init__(
        self,
        suite: Suite,
        board: Board,
        store: Store,
        clock: Clock,
        me: Identity,
        wanted: Callable[[], Mapping[str, CheckConfig]],
    ) -> None:
        self._suite, self._board, self._store, self._clock, self._me = suite, board, store, clock, me
        self._wanted = wanted
        self._name = me.host
        self._checks: Mapping[str, CheckConfig] = {}
        self._offers: dict[str, str] = {}
        self._order: dict[str, list[str]] = {}  # of each check, the addresses that are to run it
        self._runners: tuple[Runner, ...] = ()
        self._assigned: object = None  # for which offers and runners the order was computed
        self._findings: dict[tuple[str, str], Finding] = {}
        self._written = Written()
        self._waiting: dict[str, float] = {}  # checks without a result that another replica is to run, and since when
        self._replicas = [me.address]
        self._read_at: float | None = None
        self._joined = self._alone = False
        self._news = asyncio.Event()
        self.changed: Callable[[Transition], None] = lambda _: None
        """Called when another replica found another status."""
        suite.elsewhere = self.due_elsewhere
        self.arrange()

    def arrange(self) -> None:
        """Apply the configuration in force."""
        self._checks = dict(self._wanted())
        marks = ((name, mark_of(config)) for name, config in sorted(self._checks.items()))
        self._offers = {name: mark for name, mark in marks if mark is not None}
        self._waiting.clear()
        self._suite.name_replica(self._offers, self._name)
        self._news.set()

    @property
    def runs(self) -> Counter[str]:
        """Number of spread checks by who runs them: `here` or `elsewhere`."""
        away = sum(self.due_elsewhere(name) is not None for name in self._offers)
        return Counter(here=len(self._offers) - away, elsewhere=away)

    @property
    def shares(self) -> Counter[str]:
        """Number of spread checks that each replica is to run, by its address; empty where none is spread."""
        me = self._me.address
        return Counter(address for name in self._offers for address in self._order.get(name, (me,)))

    def due_elsewhere(self, name: str) -> float | None:
        """Return the seconds for which another replica may still be trusted to run a check; None where this one is to
        run it."""
        state, me = self._board.stored(name), self._me.address
        if state is None or name not in self._offers or me in self._order.get(name, (me,)) or self._is_blind:
            return None
        now, config = self._clock.steady(), state.config
        known = self._waiting.setdefault(name, now) if state.own_probe is None else state.good_until - config.fresh_for
        left = known + _patience(config) - now
        return left if left > 0 else None

    async def run(self) -> None:
        """Exchange results with the other replicas until cancelled."""
        while True:
            self._news.clear()
            try:
                await with_deadline(_EXCHANGE, self._exchange(), name="spread")
            except (JournalError, TimeoutError):  # which the journal itself logs
                pass
            except Exception:  # health does not depend on it
                _log.exception("results not exchanged with other replicas")
            self._tell()
            await set_within(LOOK if self._offers or self._joined else None, self._news)

    async def leave(self) -> None:
        """Leave the checks to the others. Raises JournalError."""
        if self._joined:
            self._joined = False
            await self._store.leave()

    @property
    def _is_blind(self) -> bool:
        """True while it is not known who lives: the journal was not read for a lease."""
        return self._read_at is None or self._clock.steady() - self._read_at > LEASE

    def _tell(self) -> None:
        alone = bool(self._offers) and self._is_blind
        if alone is not self._alone:
            self._alone = alone
            if alone:
                _log.warning("journal not read, this replica runs all checks itself", checks=len(self._offers))
            else:
                _log.info("checks are spread over replicas again")

    async def _exchange(self) -> None:
        if not self._offers:
            await self.leave()
            return
        offers, own, now = self._offers, self._own(), self._clock.steady()
        changed, unwritten = self._written.behind({name: state for name, (_, state) in own.items()}, now)
        ages = {name: now - end for name, (end, _) in own.items() if name not in unwritten}
        found = await self._store.exchange(offers, ages, changed)
        now = self._read_at = self._clock.steady()
        self._joined = True
        self._written.note(changed, now, anew=found.anew)
        living = {runner.id for runner in found.runners}
        self._findings = {key: it for key, it in {**self._findings, **found.findings}.items() if key[0] in living}
        self._runners = tuple(sorted(found.runners, key=lambda runner: runner.address))
        if unwritten:
            self._news.set()
        if offers is self._offers:
            await self._assign()
            self._adopt()

    def _own(self) -> dict[str, tuple[float, CheckState]]:
        """Return the checks that this replica ran of late: the end of the last probe, and the state."""
        now, found = self._clock.steady(), {}
        for name in self._offers:
            state = self._board.stored(name)
            if state is not None and state.own_probe is not None and not state.elsewhere and now < state.good_until:
                pause = quiet_after(state.own_probe.result)
                found[name] = state.good_until - state.config.fresh_for - pause, state
        return found

    async def _assign(self) -> None:
        """Find who is to run each check, where checks or replicas changed, and take what is this one's from now on."""
        basis = self._offers, [(runner.address, runner.offers) for runner in self._runners]
        if basis == self._assigned:
            return
        offers, checks, me = self._offers, self._checks, self._me.address
        order: dict[str, list[str]] = {}
        for number, (name, mark) in enumerate(offers.items()):
            able = {runner.address for runner in self._runners if runner.offers.get(name) == mark}
            order[name] = in_order(name, {me, *able})[: checks[name].spread]
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if offers is not self._offers:  # a reload: the next exchange assigns
            return
        before, self._order, self._assigned = self._order, order, basis
        late = 0
        for name in offers:
            if me in order[name] and me not in before.get(name, (me,)):
                left = self._due(name) - self._clock.steady()
                late += left <= 0
                self._suite.run_in(left if left > 0 else late * STAGGER, name)
        replicas = sorted({me, *(runner.address for runner in self._runners)})
        if replicas != self._replicas:
            self._replicas = replicas
            _log.info("checks spread over replicas", replicas=replicas, here=self.runs["here"])

    def _due(self, name: str) -> float:
        """Return the steady time at which a check is due by its last result, whoever had it."""
        state = self._board.stored(name)
        if state is None or state.own_probe is None:
            return float("-inf")
        return state.good_until - state.config.fresh_for + state.config.interval

    def _adopt(self) -> None:
        """Show what the others found, where this replica does not run the check itself or knows less."""
        now, names = self._clock.steady(), self._named()
        candidates: dict[str, list[tuple[Runner, float]]] = {}
        for runner in self._runners:
            for name, age in runner.ages.items():
                if self._offers.get(name) == runner.offers.get(name) and (runner.id, name) in self._findings:
                    candidates.setdefault(name, []).append((runner, age))
        states = []
        for name, several in candidates.items():
            before = self._board.stored(name)
            if before is None or self._has_its_own(before, now):
                continue
            runner, age = self._best(name, before.config, several)
            finding = self._findings[runner.id, name]
            good_until = now - age + quiet_after(finding.result) + before.config.fresh_for
            if good_until <= now or not is_better(finding, good_until, before):
                continue
            self._waiting.pop(name, None)
            at = self._clock.now() - timedelta(seconds=age)
            state = state_of(before, finding, Probe(at, finding.duration, finding.result), good_until, names[runner.id])
            if state.status is not before.status:
                self.changed(Transition(name, before.status, state.status, at, state.probe))
            states.append(state)
        self._suite.adopt(states)

    def _has_its_own(self, state: CheckState, now: float) -> bool:
        own = (
            state.own_probe is not None and not state.elsewhere and self._me.address in self._order.get(state.name, ())
        )
        return own and now < state.good_until - state.config.fresh_for + _patience(state.config)

    def _best(self, name: str, config: CheckConfig, several: list[tuple[Runner, float]]) -> tuple[Runner, float]:
        """Return the first of those that are to run a check and have a young result, or else the youngest."""
        order = self._order.get(name, ())
        young = [each for each in several if each[0].address in order and each[1] <= _patience(config)]
        if young:
            return min(young, key=lambda each: order.index(each[0].address))
        return min(several, key=lambda each: each[1])

    def _named(self) -> dict[str, str]:
        """Return the names of the other runners by id: their hosts, or their addresses where a host has several."""
        shared = Counter([self._me.host, *(runner.host for runner in self._runners)])
        self._name_here(self._me.host if shared[self._me.host] == 1 else self._me.address)
        return {it.id: it.host if shared[it.host] == 1 else it.address for it in self._runners}

    def _name_here(self, name: str) -> None:
        if name != self._name:
            self._name = name
            self._suite.name_replica(self._offers, name)


def _patience(config: CheckConfig) -> float:
    """Return the age of a result, in seconds, up to which its replica counts as one that runs the check."""
    return 2 * config.interval + config.timeout
