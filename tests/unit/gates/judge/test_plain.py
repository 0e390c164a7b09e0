"""The criteria without statistics."""

from healthd_gates.criteria.latency import Latency
from healthd_gates.criteria.mean_latency import MeanLatency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Finding, Reason, Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from tests.unit.gates.judge.evidence import EDGES, START, interval, slow_interval, until_verdict

SLOW = (0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 90.0)
QUICK = (90.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0)
RULES = Rules((MeanLatency(limit=5.0),), timing=Timing(minimum=60, maximum=300))


def test_mean_above_the_threshold_fails_after_a_full_window() -> None:
    """A mean above the limit fails once a whole window of traffic was seen, and not before."""
    standing = until_verdict(Judge(RULES), [slow_interval(SLOW)] * 20)
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.THRESHOLD_EXCEEDED)
    assert standing.elapsed_seconds == 30 + 60


def test_mean_below_the_threshold_passes_and_promises_nothing() -> None:
    """A mean within the limit passes; the sentence says that this is no guarantee."""
    standing = until_verdict(Judge(RULES), [slow_interval(QUICK)] * 20)
    assert standing.verdict is Verdict.PASS
    assert "without a guarantee" in standing.criteria[0].sentence
    assert standing.criteria[0].log_e_harm is None


def test_old_slowness_leaves_the_window() -> None:
    """The window slides: slowness of minutes ago no longer fails."""
    watched = MeanLatency(limit=5.0, critical=False)
    judge = Judge(Rules((watched, Latency(limit=1.0))))
    standings = [judge.step(item) for item in [slow_interval(SLOW)] * 12 + [slow_interval(QUICK)] * 6]
    assert standings[11].criteria[0].finding is Finding.HARM
    assert standings[-1].criteria[0].finding is Finding.SAFE


def test_few_requests_decide_nothing() -> None:
    """Below the asked number of requests a mean says nothing."""
    few = tuple(count / 50 for count in SLOW)
    standing = until_verdict(Judge(RULES), [slow_interval(few)] * 40)
    assert standing.verdict is Verdict.INCONCLUSIVE


def test_a_sum_that_was_not_counted_is_no_mean_of_nothing() -> None:
    """Without the sum of the latencies, or with one that the buckets contradict, there is no mean, and no pass."""
    for seconds in (0.0, 10.0):
        latency = Histogram(EDGES, SLOW, seconds)
        evidence = [Evidence(START, 10.0, Counts(latency.total, 0, latency))] * 40
        standing = until_verdict(Judge(RULES), evidence)
        assert (standing.verdict, standing.criteria[0].observed) == (Verdict.INCONCLUSIVE, None)


def test_no_latency_measured() -> None:
    """Without a histogram there is no mean, and no pass."""
    standing = until_verdict(Judge(RULES), [interval((500, 0))] * 40)
    assert (standing.verdict, standing.criteria[0].finding) == (Verdict.INCONCLUSIVE, Finding.OPEN)
