"""The state of a source, for people who set it up, and the faults by which no gate could be judged: for `healthd source
test`, and for the start of a gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, runtime_checkable

from healthd.model import FailureKind
from healthd.nearest import did_you_mean, nearest
from healthd.units import show_duration
from healthd_gates.domain.evidence import Counts
from healthd_gates.sources.selectors import Matcher, Selector

Labels = Mapping[str, str]
LASTING = (FailureKind.AUTH, FailureKind.PERMISSION, FailureKind.MISCONFIGURED, FailureKind.TLS, FailureKind.EXPIRED)
"""Failures of a source that waiting does not cure: no gate starts by it."""
_SHOWN = 8
_OF_ERRORS = (
    *map(str, range(400, 600)),
    *("4xx", "5xx", "4XX", "5XX", "true", "True", "error", "errored", "fail", "failed", "failure", "exception"),
    *("ERROR", "Error", "SERVER_ERROR", "server_error", "Internal", "Unavailable", "Unknown", "DeadlineExceeded"),
)
"""Values by which series of failed requests are told: HTTP statuses and their classes, outcomes, codes of gRPC."""


@dataclass(frozen=True, slots=True)
class ArmInspection:
    """One arm at present.

    `series` is how many of them each selector matches, `newest` how many seconds old the newest sample is, `spacing`
    the seconds between two scrapes, `edges` the bucket edges, in seconds. None, or empty, if not known. `counts` are
    those of the last `counted` seconds, if the source has them already. `numbers` are what it says now, by
    the option or criterion that asks.
    """

    series: Mapping[str, int] = field(default_factory=dict)
    newest: float | None = None
    spacing: float | None = None
    edges: tuple[float, ...] = ()
    counts: Counts | None = None
    counted: float = 0.0
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """Both arms, by name. `refused` is what makes any verdict wrong or impossible; `doubtful` what may be intended;
    `unseen` what is not there, as is right before a version has started."""

    arms: Mapping[str, ArmInspection]
    refused: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@runtime_checkable
class InspectableSource(Protocol):
    """A source that can report its state before any evaluation."""

    async def inspect(self) -> Inspection:
        """Return the present state. Raises SourceUnavailable."""


def missing_label(selector: Selector, series: Iterable[Labels]) -> str | None:
    """Return what is wrong if no series of the metric has a label that the selector needs; None without any series.

    A label that may as well be absent, as in `status!="500"`, is not needed.
    """
    known: set[str] = set()
    found = False
    for labels in series:
        known |= {name for name, value in labels.items() if value}
        found = True
    for matcher in selector.matchers if found else ():
        if matcher.label not in known and not matcher.matches({}):
            names = sorted(known - {"__name__", "le"})
            hint = did_you_mean(matcher.label, names) if nearest(matcher.label, names) else ""
            has = ", ".join(names[:_SHOWN]) or "none"
            return f"no series of {selector.name} has the label {matcher.label}; there are: {has}.{hint}"
    return None


def all_errors(requests: Selector, errors: Selector, series: Iterable[Labels]) -> str | None:
    """Return what is wrong if the errors are told by labels that no series has, and an absent label fits: every request
    would count as one. None without any series."""
    known = [{name for name, value in labels.items() if value} for labels in series]
    told = [matcher for matcher in errors.matchers if matcher not in requests.matchers]
    if errors.name != requests.name or not known or not told:
        return None
    if any(matcher.label in labels or not matcher.matches({}) for matcher in told for labels in known):
        return None
    return f"no series of {errors.name} has the label {told[0].label}: every request would count as an error"


def merely_without_errors(requests: Selector, errors: Selector) -> bool:
    """True if requests that are there, and no series of the errors, is what a good version looks like: it would be the
    same series, and the condition that tells errors is one that a common value of them fulfils. A value that fits none,
    such as `5OO`, may be a slip of the pen."""
    told = [matcher for matcher in errors.matchers if matcher not in requests.matchers]
    return (
        errors.name == requests.name
        and bool(told)
        and all(any(matcher.matches({matcher.label: value}) for value in _OF_ERRORS) for matcher in told)
    )


def missing_value(selector: Selector, series: Iterable[Labels], others: Iterable[Selector] = ()) -> str | None:
    """Return which label of the metric never has the value that the selector needs; None if none is wrong, or without
    any series.

    `others` are selectors of the other arm: its values are no slip of the pen, and where there are only those, the arm
    has not started yet or was replaced.
    """
    found, taken = list(series), [matcher for other in others for matcher in other.matchers]
    for matcher in selector.matchers:
        values = sorted({labels.get(matcher.label, "") for labels in found} - {""})
        if matcher.operator == "=" and matcher.value and values and matcher.value not in values:
            free = [value for value in values if Matcher(matcher.label, "=", value) not in taken]
            if not free:
                continue
            has = ", ".join(values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")
            hint = did_you_mean(matcher.value, free)
            return f"no series of {selector.name} has {matcher}; its values are: {has}.{hint}"
    return None


def missing_metric(selector: Selector, names: Iterable[str]) -> str:
    """Return that nothing has the metric's name, with the most similar existing name."""
    return f"there is no metric {selector.name}.{did_you_mean(selector.name, names)}"


def short_buckets(metric: str, edges: Sequence[float], limits: Sequence[float]) -> tuple[list[str], list[str]]:
    """Return what is wrong, and what is doubtful, about the buckets' edges for a policy with these limits in
    seconds."""
    if not edges:
        return [], []
    if inf not in edges:
        return [f'{metric} has no bucket le="+Inf", so that nobody knows how many requests were slower'], []
    highest = max((edge for edge in edges if edge < inf), default=0.0)
    return [], [
        f"the buckets of {metric} end at {show_duration(highest)}, below the limit of {show_duration(limit)}:"
        " whatever is slower counts as above the limit"
        for limit in limits
        if limit > highest
    ]
