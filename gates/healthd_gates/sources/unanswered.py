"""Requests that a load balancer passed on and that no target answered, from numbers by the minute.

A load balancer answers these itself (502, 504) and counts them for no target group; they are the rest of the requests
once every answer is subtracted. The rest includes requests that are still being answered at the end of a minute: by
Little's law about as many as come in a second, times the mean response time in seconds. That many, and three standard
deviations more (the number in flight is about Poisson distributed), are no errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, sqrt

from healthd_gates.sources.counters import Counter, Family, Snapshot

_PAST = "past"
_ERRORS = Counter(Family.ERRORS, "unanswered")
_DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True)
class Minute:
    """The numbers of one minute once they have stopped growing."""

    requests: float
    answered: float
    seconds: float
    """The sum of the response times of those that were answered and timed."""
    timed: float


def balance(before: Snapshot | None, settled: Mapping[int, Minute], start: int) -> Snapshot:
    """Return the account of requests without an answer, with the minutes of `settled` entered.

    A minute that is entered again replaces itself, so that late numbers correct it; minutes before `start` are closed.
    The errors in it only grow: a request whose answer came late was within the allowance.
    """
    values = dict(before.values) if before is not None else {}
    errors = values.pop(_ERRORS, 0.0)
    for minute, numbers in settled.items():
        values[Counter(Family.SUM, str(minute))] = numbers.requests - numbers.answered
    for counter in [each for each in values if each.series != _PAST and int(each.series) < start]:
        past = Counter(Family.SUM, _PAST)
        values[past] = values.get(past, 0.0) + values.pop(counter)
    left = sum(values.values()) - _in_flight(settled)
    values[_ERRORS] = max(errors, float(floor(left)))
    return Snapshot(float(start), values)


def errors_of(account: Snapshot | None) -> float:
    """Return how many requests of the account count as failed."""
    return account.values.get(_ERRORS, 0.0) if account is not None else 0.0


def _in_flight(settled: Mapping[int, Minute]) -> float:
    """Return how many requests may be in flight at the end of the last minute."""
    if not settled:
        return 0.0
    timed = sum(minute.timed for minute in settled.values())
    mean = sum(minute.seconds for minute in settled.values()) / timed if timed else 0.0
    busiest = max(minute.requests for minute in settled.values()) / 60.0
    under_way = busiest * mean
    return under_way + _DEVIATIONS * sqrt(under_way)
