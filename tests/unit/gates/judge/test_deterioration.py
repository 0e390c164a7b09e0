"""What is several times worse than before the switch does not pass, though it is within its limits; what only takes its
time to settle does."""

from collections.abc import Callable
from itertools import pairwise
from math import exp, inf, log
from statistics import NormalDist

import pytest

from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Bound, Reason, Standing, Verdict
from healthd_gates.judge.deterioration import usual_rate
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Against, Rules, Timing
from tests.unit.gates.judge.evidence import START, until_verdict

pytestmark = pytest.mark.proof

POST_SWITCH = Policy.model_validate(SHIPPED["post-switch"])
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
_SPREAD = 0.7
Course = Callable[[float], float]


def counts(requests: float, errors: float, median: float, edges: tuple[float, ...] = EDGES) -> Counts:
    """The mean counts of so many requests, a share of which fails, with log-normal latencies."""
    below = [0.0, *(NormalDist().cdf(log(edge / median) / _SPREAD) for edge in edges[:-1]), 1.0]
    inside = tuple(requests * (high - low) for low, high in pairwise(below))
    return Counts(requests, requests * errors, Histogram(edges, inside, requests * median))


def past(errors: float = 0.008, median: float = 0.02, hours: float = 3.0, rate: float = 50.0) -> list[Evidence]:
    """What was there before the switch."""
    return [Evidence(START, 30.0, None, counts(30 * rate, errors, median))] * round(hours * 120)


def ending(
    before: list[Evidence],
    errors: Course = lambda _: 0.008,
    median: Course = lambda _: 0.02,
    earlier: list[Evidence] | None = None,
    edges: tuple[float, ...] = EDGES,
) -> tuple[Standing, float]:
    """The last standing of a gate and its time; that of the watch, if the gate passed and the watch took it back."""
    judge, seen = Judge(POST_SWITCH.verdict_rules(), before, (), earlier or []), list[Evidence]()
    for look in range(1, 128):
        time = 5.0 * look
        seen.append(Evidence(START, 5.0, counts(250, errors(time), median(time), edges)))
        standing = judge.step(seen[-1])
        if standing.verdict is not None:
            break
    if standing.verdict is Verdict.PASS:
        watch = Judge(POST_SWITCH.watch_rules(), before, seen, earlier or [])
        for after in range(look + 1, 360):
            later = watch.step(Evidence(START, 5.0, counts(250, errors(5.0 * after), median(5.0 * after), edges)))
            if later.verdict is not None:
                return later, 5.0 * after
    return standing, time


@pytest.mark.parametrize(
    ("slower", "within"), [(90.0, 180), (10.0, 330), (5.0, 600)], ids=["ninety times", "ten times", "five times"]
)
def test_what_is_many_times_slower_does_not_pass(slower: float, within: float) -> None:
    """It is within a limit of five seconds all the while; the sentence says what it was before."""
    standing, seconds = ending(past(median=0.01), median=lambda _: 0.01 * slower)
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
    assert seconds <= within
    sentence = standing.criteria[1].sentence
    assert "several times what it was before the switch" in sentence
    assert "before the switch, and at most" in sentence


def test_five_times_the_errors_below_the_limit_do_not_pass() -> None:
    """0.8 % before, 4 % now; the limit is 5 %."""
    standing, seconds = ending(past(errors=0.008), errors=lambda _: 0.04)
    assert (standing.verdict, seconds <= 500) == (Verdict.FAIL, True)


@pytest.mark.parametrize(
    ("errors", "median"),
    [
        (lambda _: 0.008, lambda _: 0.02),
        (lambda _: 0.008, lambda t: 0.02 * (1 + 9 * exp(-t / 60))),
        (lambda _: 0.008, lambda t: 0.02 * (1 + 29 * exp(-t / 60))),
        (lambda t: 0.008 * (1 + 4 * exp(-t / 75)), lambda _: 0.02),
        (lambda _: 0.02, lambda _: 0.05),
        (lambda _: 0.008, lambda t: 0.2 if 300 < t <= 360 else 0.02),
        (lambda t: 0.04 if 300 < t <= 360 else 0.008, lambda _: 0.02),
    ],
    ids=["steady", "cold ×10", "cold ×30", "cold errors ×5", "a busy hour", "a slow minute", "a minute of errors"],
)
def test_what_settles_passes(errors: Course, median: Course) -> None:
    """Cold caches that fade, a load that is 2.5 times that of the past, and one bad minute condemn nobody."""
    standing, _ = ending(past(), errors, median)
    assert standing.verdict is Verdict.PASS


def test_a_pass_waits_while_the_last_minute_is_far_worse() -> None:
    """Harm and cold caches look the same at first: neither passes, and only what goes on fails."""
    warm, _ = ending(past(median=0.05))
    cold, seconds = ending(past(median=0.05), median=lambda t: 0.05 * (1 + 9 * exp(-t / 90)))
    assert (warm.verdict, cold.verdict) == (Verdict.PASS, Verdict.PASS)
    assert warm.elapsed_seconds == 90.0
    assert seconds > 120.0


def test_a_first_deploy_has_no_past_and_is_held_to_its_limits() -> None:
    """It passes as soon as without the comparison, and is told that there was none."""
    for little in ([], past(hours=0.1), past(rate=0.01)):
        standing, seconds = ending(little)
        assert (standing.verdict, standing.reason, seconds) == (Verdict.PASS, Reason.PROVEN_SAFE, 90.0)
        assert all("no past to compare with yet" in report.sentence for report in standing.criteria)


@pytest.mark.parametrize("before", [[], [Evidence(START, 30.0)] * 360], ids=["no past", "of the new version alone"])
def test_where_no_source_tells_of_the_past_that_of_earlier_gates_counts(before: list[Evidence]) -> None:
    """Their versions stayed, so that they are what was there before. Selectors that name the version find nothing
    of the one before it, unless the request names that as its baseline."""
    earlier = [Evidence(START, 5.0, counts(250, 0.008, 0.02))] * 720
    standing, _ = ending(before, median=lambda _: 1.0, earlier=earlier)
    assert standing.verdict is Verdict.FAIL


def test_the_limit_alone_decides_where_it_is_stricter() -> None:
    """Three times 2 % is beyond the limit of 5 %: nothing is taken away from the limit then."""
    with_past, _ = ending(past(errors=0.02), errors=lambda _: 0.02)
    assert "so that the limit alone decides" in with_past.criteria[0].sentence


def test_other_buckets_than_those_of_the_past_are_no_slowness() -> None:
    """The quantile of the past may lie anywhere in its bucket."""
    coarse = (0.001, 0.5, 2.0, 8.0, inf)
    before = [Evidence(START, 30.0, None, counts(1500, 0.0, 0.2, coarse))] * 360
    standing, _ = ending(before, median=lambda _: 0.2)
    assert standing.verdict is Verdict.PASS


def test_a_bucket_that_hides_several_times_slower_proves_nothing() -> None:
    """20 ms before and 3 s now, both at most 5 s: what the policy asks for cannot be told, and the words say why."""
    one = (5.0, inf)
    before = [Evidence(START, 30.0, None, counts(1500, 0.0, 0.02, one))] * 360
    standing, seconds = ending(before, median=lambda _: 0.6, edges=one)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.TOO_COARSE)
    assert seconds > 600.0
    latency = standing.criteria[1]
    assert (latency.observed, latency.observed_is, latency.baseline) == (5.0, Bound.AT_MOST, None)
    assert "at most 5 s, not known closer" in latency.sentence
    assert "in one bucket that hides several times more: add edges" in latency.sentence
    assert "proven safe" not in latency.sentence


def test_a_past_in_coarse_buckets_is_none_for_finer_ones() -> None:
    """As where edges were added: the first version that has them passes by its limit, and is the past of the next."""
    before = [Evidence(START, 30.0, None, counts(1500, 0.0, 0.02, (5.0, inf)))] * 360
    standing, _ = ending(before, median=lambda _: 0.02)
    assert standing.verdict is Verdict.PASS


def test_a_pass_says_that_nothing_was_compared() -> None:
    """Where the policy asks for a comparison and there is no past yet: a first release is held to its limits."""
    first, _ = ending([], median=lambda _: 0.9)
    assert first.verdict is Verdict.PASS
    assert "Compared with nothing (error_rate, latency): no past yet; the limit alone decided." in first.sentence
    compared, _ = ending(past())
    assert compared.verdict is Verdict.PASS
    assert "ompared" not in compared.sentence


def test_a_service_that_was_slow_already_is_held_to_its_limit() -> None:
    """Several times more than what is in the bucket is beyond the limit."""
    edges = (0.5, 1.0, 6.0, inf)
    before = [Evidence(START, 30.0, None, counts(1500, 0.0, 0.6, edges))] * 360
    standing, _ = ending(before, median=lambda _: 0.6, edges=edges)
    assert standing.verdict is not Verdict.FAIL
    assert "in one bucket" not in standing.criteria[0].sentence


def test_an_incident_of_the_past_is_not_usual() -> None:
    """Ten minutes of 30 % in three hours do not let a release fail as much; half an hour is what the service does."""
    spans = [(1500.0, 12.0, 30.0)] * 360
    usual = usual_rate(spans)
    assert usual is not None
    assert usual < 0.02
    spans[100:120] = [(1500.0, 450.0, 30.0)] * 20
    assert (usual_rate(spans) or 0) < 0.06
    spans[100:160] = [(1500.0, 450.0, 30.0)] * 60
    assert (usual_rate(spans) or 0) >= 0.29


@pytest.mark.parametrize(
    "bad",
    [
        [Evidence(START, 30.0, None, counts(1500, 0.5, 1.0))] * 2,
        [Evidence(START, 240.0), *[Evidence(START, 5.0, None, counts(250, 0.5, 1.0))] * 3],
    ],
    ids=["a minute", "the new version's first counts after a silence"],
)
@pytest.mark.parametrize("place", [-1, 24])
def test_an_incident_of_half_an_hour_is_not_usual_either(bad: list[Evidence], place: int) -> None:
    """Nor is what came between the switch and the gate."""
    before = past(hours=0.45)
    before[place:place] = bad
    slow, _ = ending(before, median=lambda _: 1.0)
    faulty, _ = ending(before, errors=lambda _: 0.045)
    assert slow.verdict is Verdict.FAIL
    assert faulty.verdict is not Verdict.PASS
    assert ending(before)[0].verdict is Verdict.PASS


@pytest.mark.parametrize("kind", [ErrorRate, Latency])
def test_it_asks_for_a_limit_beside_it(kind: type[ErrorRate | Latency]) -> None:
    """Without one a first deploy would be held to nothing."""
    with pytest.raises(ValueError, match="needs a limit beside it"):
        kind(limit=None, compare=Compare(to=Against.BEFORE))


def test_it_tolerates_what_it_is_told_to() -> None:
    """No proof is asked for, so that `harmful`, which a pass must rule out elsewhere, is unused."""
    rule = ErrorRate(compare=Compare(to=Against.BEFORE, tolerated=8.0))
    assert rule.comparison is not None
    assert (rule.comparison.tolerated, rule.comparison.floor) == (8.0, 0.01)


def test_routes_are_held_to_their_limit_alone() -> None:
    """The total is compared with what was there before; a route's sentence claims no baseline."""
    rule = ErrorRate(compare=Compare(to=Against.BEFORE), by="route")
    judge = Judge(Rules((rule,), timing=Timing(interval=5.0, minimum=60.0, maximum=600.0)), past())
    bad = Counts(250, 20, strata={"/a": (125.0, 20.0), "/b": (125.0, 0.0)})
    standing = until_verdict(judge, [Evidence(START, 5.0, bad)] * 120)
    assert standing.verdict is Verdict.FAIL
    assert "on route /a" in standing.criteria[0].sentence
    assert "baseline" not in standing.criteria[0].sentence
