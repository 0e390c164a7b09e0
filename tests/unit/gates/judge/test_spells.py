"""Where no past shows how long a service's trouble lasts, two minutes of it that begin late do not decide."""

from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice, repeat

import pytest

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.past import SHOWS_SPELLS
from healthd_gates.judge.rules import Rules, Timing
from tests.unit.gates.judge.evidence import interval
from tests.unit.gates.judge.rules import BY_ERRORS

RULES = Rules(BY_ERRORS, timing=Timing(interval=5, minimum=1800, maximum=1800))
QUIET = interval(baseline=(15000, 150), seconds=30)
HOUR = [QUIET] * round(SHOWS_SPELLS / 30)
SILENT, UNUSED = interval(None, None, seconds=30), interval(baseline=(0, 0), seconds=30)


def reports(calm: int, bad: int, times: int) -> Iterator[Evidence]:
    """So many reports of 1 % errors, so many of a multiple, and ten minutes of 1 %; the baseline has 1 % throughout."""
    errors = chain(repeat(25, calm), repeat(25 * times, bad), repeat(25, 120))
    return (interval((2500, each), (2500, 25), seconds=5) for each in errors)


def failed_after(history: Sequence[Evidence], stream: Iterator[Evidence]) -> int | None:
    """How many reports it took to fail."""
    judge = Judge(RULES, history)
    for place, evidence in enumerate(stream, 1):
        judge.take(evidence)
        if judge.decision[0] is Verdict.FAIL:
            return place
    return None


@pytest.mark.parametrize(
    ("history", "times"),
    [([], 6), (HOUR[:-1], 4), ([SILENT] * 60 + HOUR[:-1], 4), ([UNUSED] * 60 + HOUR[:-1], 4)],
    ids=["no past", "a past of less than an hour", "nothing counted before it", "nobody asked before it"],
)
def test_a_spell_of_two_minutes_does_not_decide_without_a_past(history: list[Evidence], times: int) -> None:
    """Several times the errors for two minutes, after five minutes without."""
    assert failed_after(history, reports(60, 24, times)) is None


def test_an_hour_that_shows_none_lets_it_decide() -> None:
    """Such a service has no spells, so that it is harm."""
    assert failed_after(HOUR, reports(60, 24, 4)) is not None


@pytest.mark.parametrize(("history", "times"), [([], 6), (HOUR[:-1], 4)])
def test_harm_from_the_switch_on_is_seen_as_soon(history: list[Evidence], times: int) -> None:
    """What the release brings with it is not late: within half a minute of the initial delay."""
    found = failed_after(history, reports(0, 60, times))
    assert found is not None
    assert found <= 12


def test_harm_of_few_requests_is_not_late_by_luck() -> None:
    """5 % from the switch on, few of them in the first reports by chance, take two minutes, not three and a half as if
    they had begun late."""
    lucky = chain([0, 0, 0, 1, 0, 0, 1, 0, 3, 2], cycle([1, 2, 1]))
    found = failed_after([], (interval((25, each), (2500, 25), seconds=5) for each in islice(lucky, 60)))
    assert found is not None
    assert found <= 24


def test_late_harm_beyond_the_limit_is_seen() -> None:
    """What fails twice the limit is harm a minute and a half after it began, by the limit, which has its own caps."""
    found = failed_after(HOUR[:-1], reports(60, 60, 10))
    assert found is not None
    assert 60 < found <= 60 + 18
