"""Criteria with numbers of their own decide like the others, and without their numbers nothing is decided by them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.contract import TrafficCriterion
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.ratio import Ratio
from healthd_gates.domain.evidence import Counts, Evidence, Stream
from healthd_gates.domain.standing import Finding, Reason, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.unit.gates.judge.evidence import interval, until_verdict

TIMING = Timing(interval=10.0, initial_delay=30.0, minimum=60.0, maximum=600.0)
CHECKOUTS = Ratio(name="checkouts", bad="bad", of="all", limit=0.02)


def judge(*criteria: TrafficCriterion) -> Judge:
    return Judge(Rules(criteria, timing=TIMING))


def evidence(
    stream: Stream | None, *, main: tuple[float, float] = (2000, 2), name: str = "checkouts"
) -> Iterator[Evidence]:
    """Healthy traffic of the service, and the criterion's own numbers, for longer than a gate lasts."""
    for place in range(200):
        streams = {} if stream is None else {name: stream}
        yield replace(interval(main, place=place), streams=streams)


def test_it_fails_a_release_whose_requests_are_fine() -> None:
    standing = until_verdict(judge(ErrorRate(), CHECKOUTS), evidence(Stream(Counts(500, 100))))
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
    own = standing.criteria[1]
    assert own.sentence.startswith("The share of bad checkouts is above the limit: 20 % (")
    assert own.sentence.endswith("events); limit 2 %.")
    assert (own.observed, own.noun) == (0.2, "event")


def test_it_passes_what_is_proven_safe() -> None:
    standing = until_verdict(judge(ErrorRate(), CHECKOUTS), evidence(Stream(Counts(2000, 2))))
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.PROVEN_SAFE)


@pytest.mark.parametrize(("good", "verdict"), [(1990, Verdict.PASS), (1800, Verdict.FAIL)])
def test_the_good_part_is_the_bad_one_turned_round(good: float, verdict: Verdict) -> None:
    rule = Ratio(name="checkouts", good="good", of="all", limit=0.02)
    assert until_verdict(judge(rule), evidence(Stream(Counts(2000, good)))).verdict is verdict


@pytest.mark.parametrize("bad", [0.3, 0.9])
def test_a_share_that_is_normal_is_no_catastrophe(bad: float) -> None:
    """Most of a whole may be "bad", as with a cache: the baseline's own share is the measure."""
    rule = Ratio(name="checkouts", bad="bad", of="all", compare=Compare())
    same = Counts(1000, 1000 * bad)
    assert until_verdict(judge(rule), evidence(Stream(same, same))).verdict is Verdict.PASS


def test_it_compares_with_the_baseline_of_its_own_numbers() -> None:
    rule = Ratio(name="checkouts", bad="bad", of="all", compare=Compare())
    standing = until_verdict(judge(ErrorRate(), rule), evidence(Stream(Counts(1000, 100), Counts(1000, 20))))
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
    assert "higher than the baseline allows" in standing.criteria[1].sentence


@pytest.mark.parametrize(
    "stream", [None, Stream(gaps=1), Stream(None, Counts(2000, 2))], ids=["none", "gap", "baseline"]
)
def test_without_its_numbers_nothing_is_decided(stream: Stream | None) -> None:
    """An outage of its source is no fault of the candidate, and no proof of its health."""
    standing = until_verdict(judge(ErrorRate(), CHECKOUTS), evidence(stream))
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.NO_SERIES)
    assert standing.criteria[1].finding is Finding.NO_TELEMETRY
    assert not Reason.NO_SERIES.is_death, "the actions of a dead candidate are not for a source that is down"


def test_an_outage_in_the_middle_is_waited_for() -> None:
    """What was proven before does not pass while its numbers are missing, and counts when they are back."""
    bench = judge(ErrorRate(), CHECKOUTS)
    told = list(evidence(Stream(Counts(500, 1))))
    silent = list(evidence(None))
    for item in told[:7]:
        assert bench.step(item).verdict is None
    for item in silent[:5]:
        assert bench.step(item).verdict is None
    assert bench.decision[1] is Reason.NO_SERIES
    assert until_verdict(bench, told).verdict is Verdict.PASS


def test_one_that_only_warns_keeps_nothing_waiting() -> None:
    rule = Ratio(name="checkouts", bad="bad", of="all", limit=0.02, critical=False)
    assert until_verdict(judge(ErrorRate(), rule), evidence(None)).verdict is Verdict.PASS
    failing = until_verdict(judge(ErrorRate(), rule), evidence(Stream(Counts(500, 400))))
    assert (failing.verdict, failing.criteria[1].finding) == (Verdict.PASS, Finding.HARM)


def test_parts_that_are_no_part_of_the_whole_are_told() -> None:
    standing = until_verdict(judge(ErrorRate(), CHECKOUTS), evidence(Stream(Counts(100, 200))))
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.MISCOUNTED)


def test_an_error_rate_may_read_another_source() -> None:
    edge = ErrorRate(name="edge", source="alb")
    assert edge.stream == "@alb"
    standing = until_verdict(judge(ErrorRate(), edge), evidence(Stream(Counts(1000, 400)), name="@alb"))
    assert standing.verdict is Verdict.FAIL
    assert standing.criteria[1].bad > 100 > standing.criteria[0].bad


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 0.1},
        {"bad": "b", "good": "g", "limit": 0.1},
        {"bad": "b", "limit": 1.0},
        {"bad": "", "limit": 0.1},
    ],
)
def test_a_ratio_needs_one_part_and_something_to_hold_to(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Ratio.model_validate({"kind": "ratio", "of": "all", **options})
