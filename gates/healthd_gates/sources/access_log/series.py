"""The series of criteria in a log: how many lines each selector takes, arm by arm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from healthd_gates.domain.evidence import Counts, Events
from healthd_gates.sources.access_log.format import Format
from healthd_gates.sources.access_log.selection import (
    STATUS,
    Selection,
    check_selection,
    field_of,
    parse_selection,
)
from healthd_gates.sources.access_log.tally import CLIENT_CLOSED, Tally
from healthd_gates.sources.contract import Series

Counted = Callable[[int], bool]
"""True of a status whose requests count."""


def check(series: Series, form: Format, counted: Counted) -> None:
    """Check a criterion's series. Raises ValueError, which names the part."""
    if "up" in series.parts:
        raise ValueError("up: a log that is written to shows that nothing happened: leave it out")
    if series.shape == "values":
        raise ValueError("value: a log has no value at a moment: count its lines, by a ratio or a rate")
    for part, text in series.parts.items():
        try:
            selection = parse_selection(text)
            check_selection(selection, form)
            _check_closed(selection, counted)
        except ValueError as error:
            raise ValueError(f"{part}: {error}") from None


def _check_closed(selection: Selection, counted: Counted) -> None:
    if counted(CLIENT_CLOSED):
        return
    for matcher in selection:
        if (matcher.label, matcher.operator, matcher.value) == (STATUS, "=", str(CLIENT_CLOSED)):
            raise ValueError(f"{matcher} counts none: clients that went away count with `client_closed: error`")


def selections_of(series: Iterable[Series]) -> tuple[Selection, ...]:
    """Return the selections of several series, each once."""
    return tuple(dict.fromkeys(parse_selection(text) for each in series for text in each.parts.values()))


class LogSeries:
    """The series of one criterion."""

    def __init__(self, series: Series, selections: tuple[Selection, ...], counted: Counted) -> None:
        self.stream, self._series, self._counted = series.stream, series, counted
        self._selections = {part: parse_selection(text) for part, text in series.parts.items()}
        self._bits = {part: 1 << selections.index(selection) for part, selection in self._selections.items()}

    @property
    def wholes(self) -> dict[str, Selection]:
        """The parts that have something in them while there is traffic: without them nothing, or all, would be bad."""
        return {part: self._selections[part] for part in ("of", "requests", "good") if part in self._selections}

    def fields(self, form: Format) -> dict[str, set[str]]:
        """Return the fields of a line that each part needs."""
        return {
            part: {field_of(matcher.label, form) for matcher in selection if not matcher.matches({})}
            for part, selection in self._selections.items()
        }

    def parts(self, tally: Tally, values: Collection[str] | None) -> dict[str, int]:
        """Return how many requests each part takes. `values` are those of an arm, None if all lines are its own."""
        found = dict.fromkeys(self._bits, 0)
        for key, selected in tally.selected.items():
            if values is not None and key not in values:
                continue
            for (taken_by, status), requests in selected.items():
                if self._counted(status):
                    for part, bit in self._bits.items():
                        found[part] += requests if taken_by & bit else 0
        return found

    def numbers(self, tally: Tally, values: Collection[str] | None, seconds: float | None = None) -> Counts | Events:
        """Return the numbers of an arm, of so many seconds where these are not those since the last evaluation."""
        found = self.parts(tally, values)
        if self._series.shape == "counts":
            return Counts(found["of"], found["bad"] if "bad" in found else found["good"])
        return Events(found["events"], found.get("requests"), seconds=seconds)
