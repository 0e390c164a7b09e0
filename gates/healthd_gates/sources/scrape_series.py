"""The series that criteria name of their own, on the pages that `scrape.py` reads anyway."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from healthd_gates.domain.evidence import Counts, Events, Numbers, Stream, Values
from healthd_gates.sources import prometheus_series
from healthd_gates.sources.arm_look import Standpoint, States
from healthd_gates.sources.contract import Arms, Series, SourceUnavailable
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Family, Snapshot
from healthd_gates.sources.exposition import Own, Page
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.own_series import Position, SeriesLook
from healthd_gates.sources.promql import selector_of
from healthd_gates.sources.selectors import Selector

Pages = Mapping[str, Page | SourceUnavailable]
"""The pages of an arm's targets, by the targets' keys."""

check_arms = prometheus_series.check_arms


def check_texts(series: Series) -> None:
    """Check the text of a criterion's series. Raises ValueError, which names the part."""
    prometheus_series.check(series)
    if "up" in series.parts:
        raise ValueError("up: a page that answers shows that its process is there: leave it out")
    if series.shape == "values" and selector_of(series.parts["value"]) is None:
        raise ValueError(
            f"value: {series.parts['value']!r} needs a server that evaluates PromQL: select one metric of the page"
        )


def _origin(first: Snapshot, began: float) -> Snapshot | None:
    """Return the snapshot from which a target counts that did not answer before: 0 if it began in the gate, else its
    first values, since a part of them is of the time before."""
    young = first.started is not None and first.started >= began
    return Snapshot.zero(began) if young else None


def _later(snapshot: Snapshot, than: Snapshot | None) -> Snapshot:
    """Return the snapshot with a later time: the clock may have been set back, but a new scrape is later than the
    previous one."""
    if than is None or snapshot.at > than.at:
        return snapshot
    return Snapshot(than.at + 0.001, snapshot.values, snapshot.started)


def advanced(
    found: Snapshot, known: Snapshot | None, before: Standpoint | None, increase: Increase
) -> tuple[Snapshot | None, bool]:
    """Add to `increase` what a target counted since it was last seen. Return where it stands, and True if it is not
    known how much of it was counted before: that is a gap."""
    start = _origin(found, before.began) if known is None and before is not None else known
    return follow(start, [_later(found, start)], increase), start is None and before is not None


class ScrapedSeries:
    """The series of one criterion."""

    def __init__(self, series: Series, arms: Arms) -> None:
        self._series = series
        self.own = {
            name: Own(value=_value(series).fill(name, arm))
            if series.shape == "values"
            else Own({family: selector.fill(name, arm) for family, selector in _counters(series).items()})
            for name, arm in arms.named().items()
        }

    def look(self, position: Position | None, pages: Mapping[str, Pages], now: datetime) -> SeriesLook:
        """Return the numbers since `position`."""
        if self._series.shape == "values":
            return self._values(pages)
        at = now.timestamp()
        before = Standpoint.from_json(position) if position is not None else None
        numbers, states, gaps, resets = dict[str, Numbers | None](), dict[str, States](), 0, 0
        notes, departed = list[str](), list[str]()
        for name, answers in pages.items():
            known = {} if before is None else before.arms.get(name, {})
            increase, states[name], missed, wrong, told, is_matched = self._follow(answers, known, before)
            if told and not is_matched:
                absent = f"{name}: no series matches {_counters(self._series)[Family.REQUESTS]}"
                notes.append(absent)
                departed += [absent] if name == "baseline" else []
            numbers[name] = self._shaped(increase.counts(), told) if told else None
            gaps, resets = gaps + missed, resets + increase.resets
            notes += [f"{name}: {note}" for note in (*dict.fromkeys(wrong), *increase.notes)]
        stands = Standpoint(at if before is None else before.began, at, states).to_json()
        stream = Stream(numbers["candidate"], numbers.get("baseline"), gaps, resets) if before is not None else None
        return SeriesLook(stream, stands, tuple(notes), tuple(departed))

    def _follow(
        self, answers: Pages, known: States, before: Standpoint | None
    ) -> tuple[Increase, States, int, list[str], int, bool]:
        """Return the increase of an arm, where its targets stand, how many were missing, what is wrong, of how many
        something is known, and whether any series matched."""
        increase, after, missed, wrong, told = Increase(), dict(known), 0, list[str](), 0
        matched = set[Family]()
        for key, page in answers.items():
            if isinstance(page, SourceUnavailable):
                missed += 1
                continue
            found = page.own[self._series.stream]
            if found.problem is not None:
                missed += 1
                wrong.append(found.problem)
                continue
            matched |= found.matched
            last, is_new = advanced(found.snapshot, known.get(key), before, increase)
            missed, told = missed + is_new, told + 1
            if last is not None:
                after[key] = last
        return increase, after, missed, wrong, told, Family.REQUESTS in matched

    def _shaped(self, counts: Counts, instances: int) -> Numbers:
        if self._series.shape == "counts":
            return Counts(counts.requests, counts.errors)
        if "requests" in self._series.parts:
            return Events(counts.errors, counts.requests, instances)
        return Events(counts.requests, None, instances)

    def _values(self, pages: Mapping[str, Pages]) -> SeriesLook:
        measured, notes = dict[str, Values | None](), dict[str, str]()
        for name, answers in pages.items():
            found = [page.own[self._series.stream] for page in answers.values() if isinstance(page, Page)]
            values = tuple(value for each in found for value in each.values)
            measured[name] = Values(values) if values else None
            if found and not values:
                notes[name] = f"{name}: no series matches {self.own[name].value}"
        stream = Stream(measured["candidate"], measured.get("baseline"))
        return SeriesLook(stream, {}, tuple(notes.values()), tuple(notes[name] for name in notes if name == "baseline"))


def _value(series: Series) -> Selector:
    return Selector.parse(series.parts["value"])


def _counters(series: Series) -> dict[Family, Selector]:
    uses = prometheus_series.selectors_of(series, None)
    return {use: selector for use, selector in uses.items() if isinstance(use, Family)}
