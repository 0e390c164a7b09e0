"""The series that criteria name of their own, among the counts that are posted to a gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from healthd_gates.domain.evidence import Counts, Events, Numbers, Stream, Values
from healthd_gates.domain.request import PushedCounts, PushedEvidence
from healthd_gates.sources.contract import Series
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.increase import Increase

Pushes = Sequence[tuple[int, PushedEvidence]]
_WHOLE, _PART = Family.REQUESTS, Family.ERRORS
_USES = {"of": _WHOLE, "requests": _WHOLE, "bad": _PART, "good": _PART, "events": _PART}


def check(series: Series) -> None:
    """Check the names of a criterion's series. Raises ValueError, which names the part."""
    if "up" in series.parts:
        raise ValueError("up: what is pushed is there, so that nothing else has to show it: leave it out")


class PushedSeries:
    """The series of one criterion in the pushes to one gate."""

    def __init__(self, series: Series, arms: Sequence[str]) -> None:
        self._series, self._arms = series, arms

    def look(self, position: Mapping[str, Any] | None, pushes: Pushes) -> tuple[Stream, Mapping[str, Any]]:
        """Return the numbers in these pushes, and where each sender's totals stand."""
        if self._series.shape == "values":
            measured = {arm: self._values(arm, pushes) for arm in self._arms}
            return Stream(measured["candidate"], measured.get("baseline")), {}
        found: dict[str, Numbers | None] = {}
        stands: dict[str, Any] = {}
        resets = 0
        for arm in self._arms:
            kept = (position or {}).get(arm, {})
            states = {sender: Snapshot.from_json(raw) for sender, raw in kept.items()}
            found[arm], increase = self._counts(arm, pushes, states)
            resets += increase.resets
            stands[arm] = {sender: state.to_json() for sender, state in states.items()}
        return Stream(found["candidate"], found.get("baseline"), resets=resets), stands

    def _values(self, arm: str, pushes: Pushes) -> Values | None:
        name = self._series.parts["value"]
        newest: dict[str, float] = {}
        for _, push in pushes:
            counts = _of(push, arm)
            if counts is not None and name in counts.values:
                newest[push.sender] = counts.values[name]
        return Values(tuple(newest.values())) if newest else None

    def _counts(self, arm: str, pushes: Pushes, states: dict[str, Snapshot]) -> tuple[Numbers | None, Increase]:
        increase, told, senders = Increase(), False, set[str]()
        for position, push in pushes:
            values = self._counters(_of(push, arm), push.sender if push.totals else f"{push.sender}@{position}")
            if values is None:
                continue
            senders.add(push.sender)
            if push.totals and push.at is not None:
                known = states.get(push.sender)
                told = told or known is not None
                if (last := follow(known, [Snapshot(push.at.timestamp(), values)], increase)) is not None:
                    states[push.sender] = last
            else:
                increase.add(values, resets=0)
                told = True
        if not told:
            return None, increase
        counted = increase.counts()
        if self._series.shape == "counts":
            return Counts(counted.requests, counted.errors), increase
        requests = counted.requests if "requests" in self._series.parts else None
        return Events(counted.errors, requests, len(senders)), increase

    def _counters(self, counts: PushedCounts | None, sender: str) -> dict[Counter, float] | None:
        """Return the counters that the criterion names, None if its whole, or its events, are not in this push. A part
        that is not there did not happen."""
        parts = self._series.parts
        needed = parts.get("of") or parts.get("requests") or parts["events"]
        if counts is None or needed not in counts.series:
            return None
        return {Counter(_USES[part], sender): counts.series.get(name, 0.0) for part, name in parts.items()}


def _of(push: PushedEvidence, arm: str) -> PushedCounts | None:
    return push.candidate if arm == "candidate" else push.baseline
