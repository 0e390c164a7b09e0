"""Events and values of a team's own: what fails a release, what does not, and what is said of it."""

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest

from healthd_gates.criteria.contract import TrafficCriterion
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.rate import Rate
from healthd_gates.criteria.value import Value
from healthd_gates.domain.evidence import Counts, Events, Evidence, Numbers, Stream
from healthd_gates.domain.evidence import Values as Measured
from healthd_gates.domain.standing import Finding, Reason, Standing, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.unit.gates.judge.evidence import START, until_verdict

TIMING = Timing(interval=10.0, initial_delay=30.0, minimum=60.0, maximum=600.0)
Draw = Callable[[int], Numbers | None]


def judged(criterion: TrafficCriterion, candidate: Draw, baseline: Draw = lambda _: None) -> Standing:
    """The verdict on a release whose requests are fine."""
    return until_verdict(Judge(Rules((ErrorRate(), criterion), timing=TIMING)), course(criterion, candidate, baseline))


def course(criterion: TrafficCriterion, candidate: Draw, baseline: Draw = lambda _: None) -> Iterator[Evidence]:
    for place in range(200):
        own = Stream(candidate(place), baseline(place))
        yield Evidence(START, 10.0, Counts(2000, 2), streams={criterion.name: own})


def rate(**options: Any) -> Rate:
    return Rate.model_validate({"kind": "rate", "name": "crashes", "events": "x", **options})


def value(**options: Any) -> Value:
    return Value.model_validate({"kind": "value", "name": "memory", "value": "x", **options})


def every(events: float, **more: Any) -> Draw:
    return lambda _: Events(events, **more)


@pytest.mark.parametrize(
    ("options", "draw", "verdict"),
    [
        ({"limit": 0.5}, every(40), Verdict.FAIL),
        ({"limit": 0.5}, every(1), Verdict.PASS),
        ({"limit": 0.01}, every(0), Verdict.PASS),
        ({"limit": 0.5}, every(10, seconds=100.0), Verdict.PASS),
        ({"limit": 0.5}, every(4, seconds=1.0), Verdict.FAIL),
        ({"limit": 0.5, "per": "instance"}, every(40, instances=10), Verdict.PASS),
        ({"limit": 0.5, "per": "instance"}, every(40, instances=1), Verdict.FAIL),
        ({"limit": 0.1, "per": "request", "requests": "r"}, every(40, requests=4000), Verdict.PASS),
        ({"limit": 0.1, "per": "request", "requests": "r"}, every(40, requests=50), Verdict.FAIL),
        ({"limit": 3, "per": "request", "requests": "r"}, every(1000, requests=100), Verdict.FAIL),
    ],
)
def test_a_rate_against_a_limit(options: dict[str, Any], draw: Draw, verdict: Verdict) -> None:
    """A second, an instance or a request; more events than requests too. Events of closed windows say in how many
    seconds they happened, which is not the time between two looks."""
    assert judged(rate(**options), draw).verdict is verdict


@pytest.mark.parametrize(("events", "verdict"), [(12, Verdict.FAIL), (4, Verdict.PASS)])
def test_a_rate_against_the_baseline(events: float, verdict: Verdict) -> None:
    """The arms have different exposure: 4 events of 500 requests are what 8 of 1,000 are."""
    rule = rate(per="request", requests="r", compare={"tolerated": 1.25})
    standing = judged(rule, every(events, requests=500), every(8, requests=1000))
    assert standing.verdict is verdict


def test_a_baseline_that_reports_late_is_compared_from_then_on() -> None:
    """Not while it says nothing, be it while the candidate settles."""
    rule = rate(per="request", requests="r", compare={"tolerated": 1.25})
    late = lambda place: Events(8, requests=1000) if place > 4 else None  # noqa: E731
    assert judged(rule, every(12, requests=500), late).verdict is Verdict.FAIL


def test_what_is_said_of_a_rate() -> None:
    said = judged(rate(limit=0.5), every(40)).criteria[1]
    assert said.sentence.startswith("The rate of crashes is above the limit: 4 a second (")
    assert said.sentence.endswith(" events); limit 0.5 a second.")
    assert said.interval is not None
    assert said.interval[0] > 0.5
    clear = judged(rate(limit=0.5), every(1)).criteria[1]
    assert clear.finding is Finding.CLEAR
    assert "shows no sign of harm: 0.1 a second" in clear.sentence


def test_events_that_come_in_bursts_are_not_taken_for_harm() -> None:
    """A mean of half the limit: the spread is learned as that of errors is."""
    failed = 0
    for seed in range(40):
        random = Random(seed)
        draws = [Events(round(random.gammavariate(0.5, 2) * 2.5)) for _ in range(200)]
        standing = judged(rate(limit=0.5), draws.__getitem__)
        failed += standing.verdict is Verdict.FAIL
    assert failed <= 1


@pytest.mark.parametrize("begin", [0, 3, 20])
def test_a_spell_of_a_minute_does_not_decide_without_a_past(begin: int) -> None:
    """Six times as many events for a minute, from the switch on or later: nobody knows whether that is usual."""
    spell = judged(rate(compare={}), lambda place: Events(300 if begin <= place < begin + 6 else 50), every(50))
    assert spell.verdict is Verdict.PASS


def test_more_events_that_stay_are_harm_without_a_past() -> None:
    """They are seen within two minutes and a half."""
    rule = rate(compare={})
    judge = Judge(Rules((ErrorRate(), rule), timing=TIMING))
    standing = until_verdict(judge, islice(course(rule, every(300), every(50)), 15))
    assert standing.verdict is Verdict.FAIL


def test_with_a_past_that_has_no_spells_a_minute_of_them_decides() -> None:
    """An hour of it shows what is usual."""
    rule = rate(compare={})
    past = [Evidence(START, 30.0, streams={rule.name: Stream(None, Events(150))}) for _ in range(120)]
    judge = Judge(Rules((ErrorRate(), rule), timing=TIMING), past)
    spell = course(rule, lambda place: Events(300 if 3 <= place < 9 else 50), every(50))
    assert until_verdict(judge, spell).verdict is Verdict.FAIL


def values(*numbers: float) -> Draw:
    return lambda _: Measured(numbers)


@pytest.mark.parametrize(
    ("options", "draw", "verdict"),
    [
        ({"max": 80}, values(95), Verdict.FAIL),
        ({"max": 80}, values(60, 95, 70), Verdict.PASS),
        ({"min": 10}, values(5), Verdict.FAIL),
        ({"min": 10, "max": 80}, values(50), Verdict.PASS),
        ({"max": 80}, lambda place: Measured((95.0 if place % 6 < 5 else 50.0,)), Verdict.PASS),
    ],
)
def test_a_value_against_a_band(options: dict[str, Any], draw: Draw, verdict: Verdict) -> None:
    """For as long as `for` says, without a break; of several instances the median."""
    standing = judged(value(**options), draw)
    assert standing.verdict is verdict
    if verdict is Verdict.FAIL:
        assert standing.reason is Reason.THRESHOLD_EXCEEDED
        assert standing.elapsed_seconds == 40 + 60
    assert "without a guarantee" in standing.criteria[1].sentence


def test_a_gap_is_no_time_outside_the_band() -> None:
    """Two samples outside, ten minutes apart, are not ten minutes outside."""
    draw: Draw = lambda place: Measured((95.0,)) if place in (4, 5, 60) else None  # noqa: E731
    standing = judged(value(max=80), draw)
    assert standing.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("options", "own", "other", "verdict"),
    [
        ({}, 200, 100, Verdict.FAIL),
        ({}, 149, 100, Verdict.PASS),
        ({"worse": "lower"}, 50, 100, Verdict.FAIL),
        ({"worse": "lower"}, 200, 100, Verdict.PASS),
    ],
)
def test_a_value_against_the_baseline(options: dict[str, Any], own: float, other: float, verdict: Verdict) -> None:
    random = Random(1)

    def noise(mean: float) -> Draw:
        return lambda _: Measured((mean * random.uniform(0.98, 1.005), mean))

    standing = judged(value(compare={"tolerated": 1.5, "drift": 0}, sample="10s", **options), noise(own), noise(other))
    assert standing.verdict is verdict


def judged_with_past(criterion: Value, past: Callable[[int], float], own: float, spans: int = 360) -> Standing:
    """The verdict on a value beside a baseline of 100, whose past is given in steps of half a minute."""
    history = [
        Evidence(START, 30.0, baseline=Counts(6000, 6), streams={"memory": Stream(None, Measured((past(place),)))})
        for place in range(spans)
    ]
    judge = Judge(Rules((ErrorRate(), criterion), timing=TIMING), history)
    random = Random(1)
    return until_verdict(judge, course(criterion, lambda _: Measured((own + random.random(),)), values(100.0)))


@pytest.mark.parametrize(
    ("past", "own", "verdict"),
    [
        (lambda place: 100.0 + place % 7, 160.0, Verdict.FAIL),  # noise that five minutes even out
        (lambda place: 80.0 if place // 20 % 2 else 120.0, 160.0, Verdict.PASS),  # ten minutes high, ten low
        (lambda place: 80.0 if place // 20 % 2 else 120.0, 200.0, Verdict.FAIL),  # worse than that explains
        (lambda place: 100.0 + place / 9, 160.0, Verdict.PASS),  # rises by forty in three hours
    ],
)
def test_harm_is_more_than_the_value_drifts_by_itself(
    past: Callable[[int], float], own: float, verdict: Verdict
) -> None:
    """Healthy versions stay apart for minutes where the value drifts; the past shows by how much."""
    standing = judged_with_past(value(compare={"tolerated": 1.3}, sample="10s"), past, own)
    assert standing.verdict is verdict


@pytest.mark.parametrize("spans", [0, 100])
def test_a_value_without_a_past_decides_nothing_and_says_so(spans: int) -> None:
    """Fifty minutes show no drift; `drift` says what nobody can have seen."""
    quiet = lambda _: 100.0  # noqa: E731
    standing = judged_with_past(value(compare={"tolerated": 1.3}, sample="10s"), quiet, 200.0, spans)
    told = standing.criteria[1]
    assert (standing.verdict, told.finding, told.log_e_harm) == (Verdict.PASS, Finding.OPEN, None)
    assert "decides nothing" in told.sentence
    assert "compare.drift" in told.sentence
    said = judged_with_past(value(compare={"tolerated": 1.3, "drift": 10}, sample="10s"), quiet, 200.0, spans)
    assert said.verdict is Verdict.FAIL


def test_one_sample_counts_once() -> None:
    """A value that does not move is one comparison, however often it is looked at; with one instance it says so."""
    standing = judged(value(compare={}), values(200), values(100))
    assert standing.verdict is Verdict.PASS
    assert "worse in 1 of 1 comparison" in standing.criteria[1].sentence
    assert "one instance an arm" in standing.criteria[1].sentence


@pytest.mark.parametrize("criterion", [rate(limit=0.5), value(max=80)])
def test_without_numbers_nothing_is_decided(criterion: TrafficCriterion) -> None:
    standing = judged(criterion, lambda _: None)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.NO_SERIES)


def test_alone_they_pass_at_the_end_and_say_what_that_is_worth() -> None:
    """They prove no safety, so that an early pass would claim what nobody has shown."""
    rule = rate(limit=0.5)
    standing = until_verdict(Judge(Rules((rule,), timing=TIMING)), course(rule, every(1)))
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.NO_SIGN_OF_HARM)
    assert standing.elapsed_seconds == 630


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Rate, {"events": "x"}),
        (Rate, {"events": "x", "limit": 0}),
        (Rate, {"events": "x", "limit": 1, "per": "request"}),
        (Rate, {"events": "x", "limit": 1, "requests": "r"}),
        (Rate, {"events": "x", "compare": {"to": "history"}}),
        (Value, {"value": "x"}),
        (Value, {"value": "x", "min": 2, "max": 1}),
        (Value, {"value": "x", "max": float("nan")}),
    ],
)
def test_what_says_nothing_is_refused(kind: type[TrafficCriterion], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        kind.model_validate(options)
