"""Computes the restarts of an arm's processes, from the last snapshot of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from healthd_gates.domain.evidence import Lives
from healthd_gates.sources.arm_look import States
from healthd_gates.sources.counters import Family, Snapshot
from healthd_gates.sources.increase import Increase

_LONG = 120.0  # seconds; processes that a scaler or a rollout removes have as a rule lived longer


def own_starts(name: str, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """Return snapshots of an arm's processes, without the start times that are perhaps another's.

    A process that counts no requests of the baseline may well be the candidate's, which took its place at the address
    or runs beside it under the same job: its restarts would make a crash loop look like trouble that both have.
    """
    return [snapshot if _is_own(name, snapshot) else replace(snapshot, started=None) for snapshot in snapshots]


def _is_own(name: str, snapshot: Snapshot) -> bool:
    return name != "baseline" or any(counter.family is Family.REQUESTS for counter in snapshot.values)


def lives_of(
    name: str, increase: Increase, states: States, away: Collection[str], *, gone_between: tuple[float, float]
) -> Lives:
    """Return the lives of an arm whose processes can come and go under new names. Those that were last seen in
    `gone_between` are given up at this evaluation.

    The first new process that was gone early may have been scaled away; each further one is a repetition.
    """
    start, end = gone_between
    own = [state for state in states.values() if _is_own(name, state)]
    early = [state for state in own if _was_gone_early(state) and state.at < end]
    now = sum(start <= state.at for state in early)
    repeated = min(now, len(early) - 1) if now else 0
    down = sum(process in states and states[process].at >= start for process in away)
    return Lives(increase.restarts + now, increase.repeated + repeated, down)


def _was_gone_early(state: Snapshot) -> bool:
    return state.born is not None and state.at - state.born < _LONG
