"""The counts of each arm at one evaluation, and their combination into one piece of evidence with a cursor. For sources
that follow raw counters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healthd_gates.domain.evidence import Counts, Evidence, Lives
from healthd_gates.domain.strata import Choice
from healthd_gates.sources.contract import Look, SourceUnavailable
from healthd_gates.sources.counters import Family, Snapshot

States = dict[str, Snapshot]
"""The last snapshot of each process, by its name."""


@dataclass(frozen=True, slots=True)
class ArmLook:
    """One arm at one evaluation. `counts` is None if there are no new numbers; `silence` then says why, and is None if
    the next numbers are merely not due yet. `span` is how many seconds one process's part of the counts reaches back at
    most, and `lives` has the restarts of its processes. `departed` is true if no process of the arm has any series, as
    after its version was replaced.
    """

    counts: Counts | None
    states: States
    gaps: int = 0
    resets: int = 0
    silence: SourceUnavailable | None = None
    notes: tuple[str, ...] = ()
    span: float | None = None
    lives: Lives = field(default_factory=Lives)
    departed: bool = False


@dataclass(frozen=True, slots=True)
class Standpoint:
    """A cursor after parsing: the times of the gate's first and latest evaluation, in seconds since 1970, the last
    snapshot of each process of each arm, and the strata that are counted apart."""

    began: float
    at: float
    arms: Mapping[str, States]
    strata: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Standpoint:
        return cls(
            raw["began"],
            raw["at"],
            {
                name: {process: Snapshot.from_json(snapshot) for process, snapshot in states.items()}
                for name, states in raw["arms"].items()
            },
            tuple(raw.get("strata", ())),
        )

    def to_json(self) -> dict[str, Any]:
        arms = {
            name: {process: last.to_json() for process, last in states.items()} for name, states in self.arms.items()
        }
        return {"began": self.began, "at": self.at, "arms": arms} | ({"strata": self.strata} if self.strata else {})


def traffic_of(states: States) -> dict[str, float]:
    """Return the requests of each stratum that processes have counted so far."""
    found: dict[str, float] = {}
    for snapshot in states.values():
        for counter, value in snapshot.values.items():
            if counter.family is Family.REQUESTS and counter.stratum:
                found[counter.stratum] = found.get(counter.stratum, 0.0) + value
    return found


def _notes(arms: Mapping[str, ArmLook]) -> tuple[str, ...]:
    """Return the notes for people, with the arm's name before each."""
    return tuple(f"{name}: {note}" for name, arm in arms.items() for note in (arm.silence, *arm.notes) if note)


def _departed(arms: Mapping[str, ArmLook]) -> tuple[str, ...]:
    """Return the notes on a baseline that is there no more."""
    return _notes({name: arm for name, arm in arms.items() if name == "baseline" and arm.departed})


def combined(arms: Mapping[str, ArmLook], now: datetime, before: Standpoint | None) -> Look:
    """Combine the arms; without evidence if it is the first evaluation. Raises SourceUnavailable if neither arm has any
    numbers.
    """
    silences = [arm.silence for arm in arms.values() if arm.silence is not None]
    if len(silences) == len(arms):
        unasked = all(silence.is_unasked for silence in silences)
        raise SourceUnavailable(silences[0].kind, "; ".join(_notes(arms)), unasked=unasked)
    at = now.timestamp()
    states = {name: arm.states for name, arm in arms.items()}
    choice = Choice(() if before is None else before.strata)
    if before is None:
        traffic: dict[str, float] = {}
        for each in states.values():
            for name, requests in traffic_of(each).items():
                traffic[name] = traffic.get(name, 0.0) + requests
        choice.begin(traffic)
        return Look(None, Standpoint(at, at, states, choice.names).to_json(), _notes(arms), _departed(arms))
    candidate, baseline = choice.fold(arms["candidate"].counts, arms["baseline"].counts if "baseline" in arms else None)
    evidence = Evidence(
        now,
        max(at - before.at, 0.001),  # the clock may have been set back
        candidate=candidate,
        baseline=baseline,
        gaps=sum(arm.gaps for arm in arms.values()),
        resets=sum(arm.resets for arm in arms.values()),
        span=arms["candidate"].span,
        lives=arms["candidate"].lives,
        baseline_lives=arms["baseline"].lives if "baseline" in arms else Lives(),
    )
    return Look(evidence, Standpoint(before.began, at, states, choice.names).to_json(), _notes(arms), _departed(arms))
