"""Current state of every check and group, which the endpoints, the metrics and the pages read. It never probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from healthd.checks.contract import CheckConfig, Scope
from healthd.config.sections import Group
from healthd.config.window import CheckWindow
from healthd.model import Status
from healthd.monitoring.cover import Cover, Watched
from healthd.monitoring.dependencies import Dependencies
from healthd.monitoring.state import CheckState, GroupState, worst
from healthd.runtime.clock import Clock

_FIRST_PROBE = 15.0  # seconds, beyond its timeout, for the first probe of a check that a reload brought


class Board:
    """Board with the state of all checks, and the time until which each is valid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, CheckState] = {}
        self._groups: dict[str, Group] = {}
        self._planned: tuple[CheckWindow, ...] = ()
        self._added: tuple[CheckWindow, ...] = ()
        self._windows: dict[str, list[Watched]] = {}
        self._dependencies = Dependencies({}, {})
        self._started = self._arranged = False
        self.draining = False
        self.version = 0  # grows with every change, for code that caches rendered answers

    def arrange(
        self, checks: Mapping[str, CheckConfig], groups: Mapping[str, Group], windows: tuple[CheckWindow, ...]
    ) -> None:
        """Apply a configuration. The state of a check is kept; where its options changed, for as long as the next probe
        may take. A check that a reload brings does not count until it was probed, once anything was probed at all: a
        reload alone takes nobody out of a load balancer, lets nobody in, and ends nobody's failure."""
        self._states = {name: self._arranged_state(name, config) for name, config in checks.items()}
        self._arranged = True
        self._groups, self._planned = dict(groups), windows
        self._dependencies = Dependencies.of(checks)
        self._sort_windows()

    def add_windows(self, windows: Iterable[CheckWindow]) -> None:
        """Replace the windows that were added while the daemon runs."""
        self._added = tuple(windows)
        self._sort_windows()

    def put(self, *states: CheckState) -> None:
        """Store new states; that of a check which was removed meanwhile is dropped."""
        known = [it for it in states if it.name in self._states and self._states[it.name].config is it.config]
        self._states.update((state.name, state) for state in known)
        if known:
            self._note_change()

    def depending_on(self, name: str) -> tuple[str, ...]:
        """Return all checks that depend on a check, directly or not."""
        return self._dependencies.below.get(name, ())

    def drain(self) -> None:
        """Become not ready, whatever the status of the checks."""
        self.draining = True
        self.version += 1

    def stored(self, name: str) -> CheckState | None:
        """Return the state of a check as it was put, however old; None for an unknown one."""
        return self._states.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._states

    def check(self, name: str) -> CheckState:
        """Return the state of a check now. Raises KeyError."""
        return self._as_of_now(self._states[name])

    def checks(self) -> tuple[CheckState, ...]:
        return tuple(map(self._as_of_now, self._states.values()))

    def groups(self) -> tuple[str, ...]:
        return tuple(self._groups)

    def group(self, name: str) -> GroupState:
        """Return the state of a group now. Raises KeyError."""
        group = self._groups[name]
        states = tuple(self._as_of_now(self._states[check]) for check in group.checks)
        status = worst(_counted(state, group) for state in states)
        ready = status.is_up
        if name == "startup":  # what a restart cannot cure is no fault of the start
            looked_at = (state.probe is not None or _counted(state, group).is_up for state in states)
            ready = self._started or all(looked_at)
        if name == "ready" and self.draining:
            ready = False
        tolerating = any(_counted(state, group) is not state.counted for state in states if state.maintenance is None)
        return GroupState(name, status, ready, tolerating, states)

    def groups_of(self, name: str) -> frozenset[str]:
        """Return the groups that a check is in."""
        return frozenset(group for group, members in self._groups.items() if name in members.checks)

    def overall(self) -> Status:
        """Return the worst critical status; a check that is not critical can only degrade it."""
        return worst(
            state.counted if state.config.critical or state.counted.is_up else Status.DEGRADED
            for state in self.checks()
            if state.maintenance is None
        )

    def next_expiry(self) -> float:
        """Return the steady time at which the next result expires; infinite when none will."""
        now = self._clock.steady()
        ends = (end for state in self._states.values() for end in (state.good_until, state.counts_until))
        return min((end for end in ends if end > now), default=float("inf"))

    def _arranged_state(self, name: str, config: CheckConfig) -> CheckState:
        before, now = self._states.get(name), self._clock.steady()
        if before is not None and before.config == config:
            return before
        until = now + config.timeout + _FIRST_PROBE
        if before is not None and before.probe is not None:
            if before.earlier or now >= before.good_until:
                until = min(until, before.good_until)  # reloads in a row prolong nothing, and renew nothing
            return replace(before, config=config, good_until=until, earlier=True)
        if not self._arranged:
            return CheckState(name, config)
        if before is None:
            starting = bool(self._states) and all(state.probe is None for state in self._states.values())
            counts_as = Status.UNKNOWN if starting else Status.HEALTHY
        else:
            counts_as = self._as_of_now(before).counted
            if before.counts_as is not None:
                until = min(until, before.counts_until)
        return CheckState(name, config, counts_as=counts_as, counts_until=until)

    def _sort_windows(self) -> None:
        """Find the windows of each check once: which they are changes less often than they are asked for."""
        watched = [Watched(window) for window in (*self._planned, *self._added)]
        self._windows = {}
        for name, state in self._states.items() if watched else ():
            groups = self.groups_of(name)
            if mine := [window for window in watched if window.takes(name, state.config.labels, groups)]:
                self._windows[name] = mine
        self._note_change()

    def _note_change(self) -> None:
        """Record a completed start also here, so that it is remembered even if no caller asked at that moment."""
        self.version += 1
        self._started = self._started or ("startup" in self._groups and self.group("startup").ready)

    def _as_of_now(self, state: CheckState) -> CheckState:
        state = self._covered_now(state)
        if state.name not in self._dependencies.above:
            return state
        look = lambda name: self._covered_now(self._states[name])  # noqa: E731
        held_by = self._dependencies.holding(state, look, self._clock.now())
        return state if held_by == state.held_by else replace(state, held_by=held_by)

    def _covered_now(self, state: CheckState) -> CheckState:
        covers: tuple[Cover, ...] = ()
        if windows := self._windows.get(state.name):
            now = self._clock.now()
            covers = tuple(cover for window in windows if (cover := window.cover(now)) is not None)
        stale = state.status is not Status.UNKNOWN and self._clock.steady() >= state.good_until
        if stale:
            since = self._clock.now() - timedelta(seconds=self._clock.steady() - state.good_until)
            return replace(state, status=Status.UNKNOWN, since=since, covers=covers)
        if state.counts_as is not None and self._clock.steady() >= state.counts_until:
            state = replace(state, counts_as=None)
        return state if covers == state.covers else replace(state, covers=covers)


def _counted(state: CheckState, group: Group) -> Status:
    """Return the status that a check contributes to a group."""
    if state.maintenance is not None:
        return Status.HEALTHY
    tolerated = group.shared_failure == "degrade" and state.config.scope is Scope.SHARED
    return Status.DEGRADED if tolerated and state.counted is Status.UNHEALTHY else state.counted
