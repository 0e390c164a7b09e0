"""What holds for any evidence at all."""

from dataclasses import fields
from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthd_gates.criteria.checks import Checks
from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.criteria.mean_latency import MeanLatency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Observation
from healthd_gates.domain.standing import Finding, Reason, Standing, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rule, Rules, Timing
from tests.unit.gates.judge.evidence import EDGES, START, interval
from tests.unit.gates.judge.rules import BY_ERRORS

pytestmark = pytest.mark.proof

QUICK = settings(max_examples=40)
TIMING = Timing(initial_delay=10, minimum=30, maximum=100)
CRITERIA: tuple[Rule, ...] = (
    ErrorRate(compare=Compare()),
    ErrorRate(name="routes", compare=Compare(), by="route"),
    Latency(limit=1.0, compare=Compare()),
    MeanLatency(window=30.0),
    Checks(name="ready", group="ready", failures=3),
)

sizes = st.one_of(st.just(0), st.integers(0, 20), st.integers(0, 100_000), st.floats(0, 1e7))


@st.composite
def arms(draw: st.DrawFn) -> Counts | None:
    """One arm: missing, silent, small or huge; latencies of the same or of other buckets, or none."""
    if draw(st.integers(0, 5)) == 0:
        return None
    requests = draw(sizes)
    latency = None
    if draw(st.booleans()):
        edges = draw(st.sampled_from([EDGES, EDGES[-1:], (0.3, 0.9, EDGES[-1])]))
        counts = tuple(draw(st.lists(sizes, min_size=len(edges), max_size=len(edges))))
        latency = Histogram(edges, counts, draw(st.floats(0, 1e6)))
    strata = draw(st.dictionaries(st.sampled_from(["/a", "/b", "/c"]), st.tuples(sizes, sizes)))
    return Counts(requests, draw(sizes), latency, strata)


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    """One interval of any kind."""
    answers = draw(st.lists(st.sampled_from([True, False, None]), max_size=1))
    observations = tuple(Observation("ready", ok) for ok in answers)
    return Evidence(START, draw(st.sampled_from([1.0, 5.0, 10.0, 60.0])), draw(arms()), draw(arms()), observations)


streams = st.lists(evidence(), min_size=1, max_size=12)


def numbers(standing: Standing) -> list[float]:
    """Every number that a standing shows."""
    found = [standing.log_e_harm, standing.e_harm, standing.p_value]
    for report in standing.criteria:
        for field in fields(report):
            value = getattr(report, field.name)
            found += [part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, float)]
    return found


@QUICK
@given(streams, streams)
def test_never_nan(history: list[Evidence], stream: list[Evidence]) -> None:
    """Whatever the evidence, every number shown is a number, and intervals hold what was observed."""
    judge = Judge(Rules(CRITERIA, timing=TIMING), history)
    for item in stream:
        standing = judge.step(item)
        assert not any(isnan(value) for value in numbers(standing))
        for rate in standing.criteria[:2]:
            if rate.interval and rate.observed is not None:
                assert 0 <= rate.interval[0] <= min(1.0, rate.observed) + 1e-9
                assert rate.observed - 1e-9 <= rate.interval[1] <= 1


@QUICK
@given(streams, st.permutations(CRITERIA))
def test_order_of_criteria_does_not_matter(stream: list[Evidence], order: list[Rule]) -> None:
    """The same rules in another order reach the same standing."""
    one, other = Judge(Rules(CRITERIA, timing=TIMING)), Judge(Rules(tuple(order), timing=TIMING))
    for item in stream:
        first, second = one.step(item), other.step(item)
        assert first.verdict == second.verdict
        assert abs(first.log_e_harm - second.log_e_harm) < 1e-6
        assert {report.name: report for report in first.criteria} == {report.name: report for report in second.criteria}


@QUICK
@given(streams)
def test_gaps_never_speak_against_the_candidate(stream: list[Evidence]) -> None:
    """An interval without the candidate's telemetry leaves the evidence of harm exactly as it was."""
    judge = Judge(Rules((ErrorRate(compare=Compare()), Latency(limit=1.0, compare=Compare())), timing=TIMING))
    for item in stream:
        judge.take(item)
        before = judge.log_e_harm
        judge.take(Evidence(START, 10.0, None, item.baseline))
        assert judge.log_e_harm == before


@QUICK
@given(streams)
def test_no_verdict_without_traffic(stream: list[Evidence]) -> None:
    """A candidate without requests neither passes nor fails, whatever the baseline does."""
    judge = Judge(Rules((ErrorRate(compare=Compare()), Latency(limit=1.0, compare=Compare())), timing=TIMING))
    for item in stream:
        silent = Counts(0, 0) if item.candidate else None
        assert judge.step(Evidence(START, item.seconds, silent, item.baseline)).verdict in (None, Verdict.INCONCLUSIVE)


@QUICK
@given(streams, st.sampled_from([None, "route"]))
def test_what_is_said_agrees_with_itself(stream: list[Evidence], by: str | None) -> None:
    """Nothing beyond its limit is safe, nothing within it harmful, and no interval proves what the finding denies; so
    of every route."""
    rule = ErrorRate(compare=Compare(), by=by)
    judge = Judge(Rules((rule,), timing=Timing(initial_delay=0, minimum=30, maximum=100)))
    for item in stream:
        standing = judge.step(item)
        (report,) = standing.criteria
        assert (standing.verdict is Verdict.FAIL) <= (report.finding is Finding.HARM)
        assert (standing.reason is Reason.PROVEN_SAFE) <= (report.finding is Finding.SAFE)
        assert (" on route " in report.sentence) <= any(each.finding is Finding.HARM for each in report.strata)
        for each in report.strata:
            assert (each.finding is Finding.HARM) <= (report.finding is Finding.HARM)
            if each.interval is None or each.limit is None:
                continue
            if each.finding is Finding.SAFE:
                assert each.bad <= each.limit * each.requests + 1e-9
            if each.interval[0] > each.limit + 1e-9:
                assert each.finding is Finding.HARM
        if report.observed is None or report.interval is None or report.limit is None:
            continue
        if report.finding is Finding.SAFE:
            assert report.observed <= report.limit + 1e-9
            assert "proven safe" in report.sentence
        if report.interval[0] > report.limit + 1e-9:
            assert report.finding is Finding.HARM


def test_late_harm_is_told_as_it_is_now() -> None:
    """A mean over the whole bake would read as if the limit were kept."""
    judge = Judge(Rules((ErrorRate(),), timing=Timing(minimum=1800)))
    for bad in [5] * 60 + [400] * 5:
        standing = judge.step(interval((500, bad)))
    assert standing.verdict is Verdict.FAIL
    assert "of the last minute" in standing.criteria[0].sentence


def test_more_errors_than_requests_are_a_slip_of_the_pen() -> None:
    """Errors that are counted for each attempt upstream fail nobody; the verdict names them."""
    judge = Judge(Rules((ErrorRate(),)))
    standing = judge.step(interval((50, 150)))
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.MISCOUNTED)


@QUICK
@given(streams)
def test_errors_beyond_the_requests_are_clamped(stream: list[Evidence]) -> None:
    """Counters that tear apart for a look (more errors than requests) count as all requests failed."""
    rules = Rules((ErrorRate(compare=Compare()),), timing=TIMING)
    torn, clamped = Judge(rules), Judge(rules)
    for item in stream:
        if item.candidate is not None and item.candidate.errors > item.candidate.requests + 1:
            continue
        sane = [arm and Counts(arm.requests, min(arm.errors, arm.requests)) for arm in (item.candidate, item.baseline)]
        expected = clamped.step(Evidence(START, item.seconds, sane[0], sane[1]))
        actual = torn.step(Evidence(START, item.seconds, item.candidate, item.baseline))
        assert actual == expected


@QUICK
@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0, 1), st.integers(1, 2000), st.floats(0, 1))
def test_more_errors_never_look_better(requests: int, one: float, two: float, others: int, rate: float) -> None:
    """Of two intervals that differ only in the candidate's errors the one with more speaks more for harm."""
    standings = []
    for bad in sorted((one * requests, two * requests)):
        judge = Judge(Rules(BY_ERRORS, timing=Timing(initial_delay=0)))
        standings.append(judge.step(interval((requests, bad), (others, rate * others))).criteria[0])
    better, worse = standings
    assert (worse.log_e_harm or 0) >= (better.log_e_harm or 0) - 1e-9
    assert (worse.log_e_safe or 0) <= (better.log_e_safe or 0) + 1e-9


@QUICK
@given(st.integers(2, 400), st.floats(0.1, 0.9), st.integers(0, 9))
def test_splitting_an_interval_keeps_the_meaning(requests: int, part: float, bad: int) -> None:
    """The same traffic cut into two intervals each leads to the same verdict, in about the same time."""
    bad = min(bad * requests // 10, requests)
    verdicts = []
    for cuts in ((1.0,), (part, 1 - part)):
        judge = Judge(Rules(BY_ERRORS, timing=Timing(initial_delay=0, minimum=60, maximum=600)))
        verdict = None
        for _ in range(60):
            for share in cuts:
                arms = (requests * share, bad * share), (requests * share, 0.01 * requests * share)
                verdict = verdict or judge.step(interval(*arms, seconds=10 * share)).verdict
        verdicts.append(verdict)
    assert {Verdict.PASS, Verdict.FAIL} != set(verdicts)
