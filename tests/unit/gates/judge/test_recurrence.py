"""Trouble that is no longer than a blip, and comes again and again."""

from itertools import product
from math import exp, inf, log

import pytest

from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.past import Span
from healthd_gates.judge.recurrence import Recurrence
from healthd_gates.judge.rhythm import Rhythm
from healthd_gates.judge.rules import Risk, Timing
from tests.unit.gates.judge.evidence import interval

POST_SWITCH = Policy.model_validate(SHIPPED["post-switch"]).verdict_rules()
PAST = [interval(baseline=(1500, 15), seconds=30) for _ in range(360)]
FRAME = Frame(Risk(), Timing(interval=30, maximum=600))


def bad_for_ten_seconds(beginnings: tuple[int, ...]) -> list[Evidence]:
    """Ten minutes at 50 requests/s and 1 % errors, but for half of them in the 10 s from each of these seconds on."""
    bad = {second // 5 for begin in beginnings for second in (begin, begin + 5)}
    return [interval((250, 125 if k in bad else 2.5), seconds=5) for k in range(126)]


def ended(stream: list[Evidence], seconds: float = 5) -> tuple[Verdict | None, Reason, float]:
    """How the shipped policy judges it, and when."""
    judge, at = Judge(POST_SWITCH, PAST), 0.0
    for item in stream:
        judge.take(item)
        at += seconds
        if judge.decision[0]:
            break
    return *judge.decision, at


@pytest.mark.parametrize("phase", [30, 45, 60, 75])
def test_half_of_all_errors_for_ten_seconds_of_each_minute(phase: int) -> None:
    """The third time decides, whenever in the minute it is."""
    verdict, reason, at = ended(bad_for_ten_seconds(tuple(range(phase, 600, 60))))
    assert (verdict, reason) == (Verdict.FAIL, Reason.HARM)
    assert at <= phase + 130


@pytest.mark.parametrize("times", [(100,), (100, 160), (60, 400)])
def test_once_and_twice_do_not_decide(times: tuple[int, ...]) -> None:
    """Two disturbances in ten minutes happen to healthy services."""
    assert ended(bad_for_ten_seconds(times))[0] is not Verdict.FAIL


def windows(past: list[Span], counts: tuple[float, ...]) -> float:
    """ln E after windows of 100 requests with so many errors each."""
    recurrence, rhythm = Recurrence(0.05, FRAME, past), Rhythm()
    for bad in counts:
        rhythm.step(interval((100, bad), seconds=30))
        recurrence.step((100, bad), rhythm, excused=False)
    return recurrence.log_e


@pytest.mark.parametrize(
    ("past", "chance"), [([], 0.02), ([(100.0, 50.0, 30.0)] * 12 + [(100.0, 0.0, 30.0)] * 348, 0.072)]
)
def test_expects_one(past: list[Span], chance: float) -> None:
    """The sum over all courses of four windows, at the chance that the past allows, is at most 1."""
    total = 0.0
    for course in product((0.0, 50.0), repeat=4):
        likely, calm = 1.0, True
        for bad in course:
            likely *= (chance if bad else 1 - chance) if calm else 0.5
            calm = not bad
        total += likely * exp(windows(past, course))
    assert total == pytest.approx(1, abs=0.01) or total < 1


def test_one_that_lasts_counts_once() -> None:
    """A disturbance of minutes is one disturbance: what lasts is for the test of rates."""
    assert windows([], (50.0,) * 10) <= log(20)


def test_trouble_that_is_not_its_own_counts_for_nothing() -> None:
    """While the baseline is in trouble too no window is a disturbance."""
    recurrence, rhythm = Recurrence(0.05, FRAME, []), Rhythm()
    for _ in range(10):
        rhythm.step(interval((100, 50), seconds=30))
        recurrence.step((100, 50), rhythm, excused=True)
    assert -inf < recurrence.log_e <= 0
