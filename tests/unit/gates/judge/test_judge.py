"""What verdict the judge reaches, when, and for which reason."""

from dataclasses import replace
from datetime import timedelta
from math import inf

import numpy as np
import pytest

from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.criteria.checks import Checks
from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Observation
from healthd_gates.domain.standing import Finding, Reason, Standing, Verdict
from healthd_gates.judge.judge import Judge, replay
from healthd_gates.judge.rules import Against, Risk, Rules, Timing
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.gates.judge.evidence import interval, until_verdict
from tests.unit.gates.judge.rules import BY_ERRORS

HISTORY = [interval(baseline=(500, 5)) for _ in range(60)]
HEALTHY = [interval((500, 5), (500, 5)) for _ in range(183)]


def judge(rules: Rules | None = None) -> Judge:
    """A judge with ten minutes of healthy history."""
    return Judge(rules or Rules(BY_ERRORS), HISTORY)


def test_healthy_release_passes_at_the_minimum() -> None:
    """A release as good as its baseline is proven safe as soon as the policy allows."""
    standing = until_verdict(judge(), [interval((5000, 50), (5000, 50))] * 183)
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.PROVEN_SAFE)
    assert standing.elapsed_seconds == 30 + 120
    assert standing.criteria[0].finding is Finding.SAFE


def test_what_is_proven_before_the_minimum_is_said_to_wait_for_it() -> None:
    """Until it is proven the evidence does not suffice; from then on nothing is missing but time."""
    judging = judge(Rules(BY_ERRORS, timing=Timing(minimum=1800)))
    said = [judging.step(each).sentence for each in HEALTHY[:170]]
    assert "Watching: the evidence does not suffice yet." in said
    assert said[-1] == "Watching: proven safe so far; a pass waits for the least time of observation."


def test_what_is_proven_safe_is_drawn_below_its_limit() -> None:
    """The band is as sure as the stated risk of a rollback, and the proof as that of a pass: it need not be as long."""
    judge = Judge(Rules((ErrorRate(), Latency()), timing=Timing(1, 0, 5, 600)))
    fast = Histogram((0.1, 1.0, 5.0, inf), (10, 0, 0, 0), 0.5)
    safe = 0
    for look in range(1, 60):
        standing = judge.step(Evidence(MIDNIGHT + timedelta(seconds=look), 1, Counts(10, 0, fast)))
        for criterion in standing.criteria:
            if criterion.finding is Finding.SAFE and criterion.interval is not None and criterion.limit is not None:
                safe += 1
                assert criterion.interval[1] <= criterion.limit, (look, criterion)
        if standing.verdict is not None:
            break
    assert safe
    assert standing.verdict is Verdict.PASS


@pytest.mark.parametrize(("requests", "errors"), [(50_000, 500), (5_000, 225)])
def test_much_traffic_is_no_obstacle(requests: int, errors: int) -> None:
    """The more is seen of two equal versions the sooner a release passes, also close below the limit."""
    history = [interval(baseline=(3 * requests, 3 * errors), seconds=30) for _ in range(60)]
    standing = until_verdict(Judge(Rules(BY_ERRORS), history), [interval((requests, errors), (requests, errors))] * 183)
    assert standing.reason is Reason.PROVEN_SAFE
    assert standing.elapsed_seconds <= 300


def test_outage_fails_in_ten_seconds() -> None:
    """A total outage decides in its first interval, even while settling."""
    standing = until_verdict(judge(), [interval((50, 50), (50, 0))])
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
    assert "catastrophic" in standing.criteria[0].sentence


@pytest.mark.parametrize(("errors", "seconds"), [(140, (15, 25)), (180, (10, 10)), (200, (10, 10))])
def test_a_catastrophe_takes_more_than_one_blip(errors: int, seconds: tuple[float, float]) -> None:
    """As docs/gate.md says of 40 requests a second: the further from one half, the sooner, and sooner than settled."""
    rules = Policy.model_validate(SHIPPED["post-switch"]).verdict_rules()
    past = [interval(baseline=(1200, 1), seconds=30)] * 360
    for history in (past, []):
        standing = until_verdict(Judge(rules, history), [interval((200, errors), seconds=5)] * 6)
        assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
        assert seconds[0] <= standing.elapsed_seconds <= seconds[1] < rules.timing.initial_delay
        assert "catastrophic" in standing.criteria[0].sentence


@pytest.mark.parametrize("seconds", [5.0, 2.0, 1.0])
def test_outage_takes_as_long_at_shorter_intervals(seconds: float) -> None:
    """A total outage of 5 s does not decide, one of 10 s does, however short the scrape interval."""
    requests = 50 * seconds
    outage = interval((requests, requests), (requests, 0), seconds=seconds)
    judged = judge(Rules(BY_ERRORS, timing=Timing(interval=seconds)))
    half = round(5 / seconds)
    assert until_verdict(judged, [outage] * half).verdict is None
    assert until_verdict(judged, [outage] * (round(10 / seconds) - half)).verdict is Verdict.FAIL


@pytest.mark.parametrize(("bad", "latest"), [(25, 90), (50, 60)])
def test_regressions_fail_within_a_minute_of_settling(bad: int, latest: float) -> None:
    """At 50 requests/s ×5 and ×10 of a 1 % error rate are seen in less than a minute."""
    standing = until_verdict(judge(), [interval((500, bad), (500, 5)) for _ in range(183)])
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= latest
    assert standing.log_e_harm >= standing.log_e_needed
    assert standing.p_value <= 0.01


def test_errors_while_settling_are_forgiven() -> None:
    """Twenty per cent of errors while settling do not count."""
    spike = [interval((500, 100), (500, 5)) for _ in range(3)]
    assert until_verdict(judge(), spike + HEALTHY).verdict is Verdict.PASS


@pytest.mark.parametrize("seconds", [10.0, 5.0, 2.0])
def test_blip_never_decides(seconds: float) -> None:
    """Ten seconds of 30 % errors, astride the scrapes, do not roll back at any scrape interval."""
    requests = 500 * seconds
    quiet = interval((requests, requests // 100), (requests, requests // 100), seconds=seconds)
    blip = interval((requests, 0.3 * requests), (requests, requests // 100), seconds=seconds)
    half = interval((requests, 0.15 * requests), (requests, requests // 100), seconds=seconds)
    whole = round(10 / seconds)
    stream = [quiet] * (10 * whole) + [half] + [blip] * max(0, whole - 1) + [half] + [quiet] * (20 * whole)
    timing = Timing(interval=seconds, minimum=1800)
    judged = judge(Rules(BY_ERRORS, timing=timing))
    assert until_verdict(judged, stream).verdict is None


@pytest.mark.parametrize(("level", "length"), [(0.3, 10), (0.6, 10), (0.8, 10), (1.0, 8)])
@pytest.mark.parametrize("pods", [1, 10])
def test_a_disturbance_of_a_fleet_never_decides(level: float, length: float, pods: int) -> None:
    """Ten processes scraped every 30 s, at times of their own, smear ten seconds over four looks and more; one process
    scraped every 5 s shows it at any phase.
    """
    every, look = (30, 10) if pods == 10 else (5, 5)
    rules = Rules(BY_ERRORS, timing=Timing(interval=look, minimum=600, maximum=600))
    for phase in (0.0, 2.5, 4.0):
        judged, start = Judge(rules, HISTORY), 200 + phase

        def bad(begin: float, end: float, start: float = start) -> float:
            """Seconds of the disturbance that lie within."""
            return max(0.0, min(end, start + length) - max(begin, start))

        for tick in range(look, 640, look):
            scrapes = [t for pod in range(pods) for t in range(tick - look + 1, tick + 1) if (t + 3 * pod) % every == 0]
            requests, seconds = 500.0 * every / pods, sum(bad(t - every, t) for t in scrapes)
            arm = (requests * len(scrapes), 500 / pods * (0.001 * every * len(scrapes) + level * seconds))
            well = (arm[0], 0.001 * arm[0])
            judged.take(replace(interval(arm, well, seconds=look), span=float(every)))
            assert judged.decision[0] is not Verdict.FAIL


def test_scrapes_that_are_farther_apart_than_looks_decide_as_soon() -> None:
    """An outage takes two scrapes at most, half of all errors three, whether a look brings something new or not."""
    for every in (15, 60):
        for level, scrapes in ((1.0, 2), (0.5, 3)):
            requests = 50 * every
            timing = Timing(interval=5, initial_delay=0, minimum=600, maximum=600)
            rules = Rules((ErrorRate(),), timing=timing)
            stream = [
                interval((requests, level * requests), seconds=5)
                if k % (every // 5) == 0
                else interval(None, seconds=5)
                for k in range(1, 200)
            ]
            assert until_verdict(Judge(rules, HISTORY), stream).elapsed_seconds <= scrapes * every + 5


def test_a_longer_blip_is_forgiven_where_the_policy_says_so() -> None:
    """A minute of errors does not decide with `blip` at a minute; it does at 10 s."""
    stream = [*HEALTHY[:20], *[interval((500, 150), (500, 5))] * 6, *HEALTHY[:20]]
    for blip, verdict in ((10, Verdict.FAIL), (60, None)):
        rules = Rules(BY_ERRORS, timing=Timing(minimum=1800, blip=blip))
        assert until_verdict(judge(rules), stream).verdict is verdict


def test_late_regression_is_seen_by_a_watch() -> None:
    """With minimum and maximum alike the judge watches: no early pass, and a late regression fails."""
    bad = [interval((500, 50), (500, 5)) for _ in range(10)]
    standing = until_verdict(judge(Rules(BY_ERRORS, timing=Timing(minimum=1800))), HEALTHY[:60] + bad)
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= 600 + 70


def test_end_of_bake_without_proof_of_the_ratio() -> None:
    """At 1 request/s the ratio cannot be proven, the limit can: no evidence of harm, said so."""
    standing = until_verdict(judge(), [interval((10, place % 10 == 0), (10, place % 10 == 5)) for place in range(183)])
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.NO_EVIDENCE_OF_HARM)


def test_few_requests_are_not_enough() -> None:
    """Sixty error-free requests do not prove 5 %: inconclusive."""
    stream = [interval((1, 0), (1, 0)) for _ in range(60)]
    standing = until_verdict(judge(Rules(BY_ERRORS, timing=Timing(maximum=570))), stream)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.NOT_ENOUGH_EVIDENCE)
    needed = standing.criteria[0].requests_needed
    assert needed is not None
    assert 100 < needed < 2000


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (interval((0, 0), (500, 5)), Reason.NO_TRAFFIC),
        (interval(None, (500, 5)), Reason.NO_TELEMETRY),
        (interval((0, 0), None), Reason.NO_TRAFFIC),
        (interval(), Reason.NO_TELEMETRY),
    ],
)
def test_silence_is_inconclusive(evidence: Evidence, reason: Reason) -> None:
    """No traffic and no telemetry are told apart; neither passes nor fails."""
    standing = until_verdict(judge(), [evidence] * 183)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, reason)
    assert standing.log_e_harm <= 0


@pytest.mark.parametrize(
    ("silence", "reason"),
    [(interval((0, 0), (500, 5)), Reason.TRAFFIC_LOST), (interval(None), Reason.TELEMETRY_LOST)],
)
@pytest.mark.parametrize("comparison", [None, Compare()])
@pytest.mark.parametrize("stop", [5, 8, 12, 14])
def test_a_candidate_that_dies_never_passes(
    silence: Evidence, reason: Reason, comparison: Compare | None, stop: int
) -> None:
    """A candidate that was fine and then stopped speaking is inconclusive after some minutes, whenever it died."""
    rules = Rules((ErrorRate(compare=comparison),), timing=Timing(interval=5, minimum=60, maximum=600))
    alive = [interval((2500, 2), (2500, 2), seconds=5)] * stop
    gone = replace(silence, seconds=5)
    standing = until_verdict(judge(rules), alive + [gone] * 183)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, reason)
    assert standing.elapsed_seconds - 5 * stop == pytest.approx(180, abs=10)


@pytest.mark.parametrize("baseline", [None, (250, 0)])
def test_a_candidate_that_loses_its_customers_never_passes(baseline: tuple[int, int] | None) -> None:
    """Traffic that halves every 20 s, down to 2 %, is no health although no error is counted."""
    rules = Rules((ErrorRate(),), timing=Timing(interval=5, minimum=60, maximum=600))
    left = [max(0.02, 0.5 ** (max(0, 5 * k - 60) / 20)) for k in range(126)]
    stream = [interval((round(250 * part), 0), baseline, seconds=5) for part in left]
    standing = until_verdict(Judge(rules), stream)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.TRAFFIC_LOST)
    assert standing.elapsed_seconds <= 400
    assert standing.criteria[0].finding is Finding.TRAFFIC_LOST


def test_traffic_that_both_versions_lose_is_nobodys_loss() -> None:
    """When the customers go home they leave both versions, and the release passes as before."""
    evening = [interval((n, 0), (n, 0)) for k in range(60) for n in [round(500 * max(0.05, 0.8**k))]]
    assert until_verdict(judge(), evening).reason is Reason.PROVEN_SAFE


def test_numbers_that_come_in_their_own_rhythm_are_fresh() -> None:
    """Counts of every third look, as a 15 s scrape gives them, and one missed scrape keep no release from passing."""
    rules = Rules((ErrorRate(),), timing=Timing(interval=5, minimum=60, maximum=600))
    for missed in (None, 17):
        due = {k: 1500 if missed and k == missed + 3 else 750 for k in range(2, 60, 3) if k != missed}
        stream = [interval((due[k], 0) if k in due else None, seconds=5) for k in range(60)]
        standing = until_verdict(Judge(rules), stream)
        assert standing.reason is Reason.PROVEN_SAFE
        assert standing.elapsed_seconds <= 90 + (15 if missed else 0)


def test_a_last_look_without_numbers_is_waited_out() -> None:
    """A gate whose time is over while a scrape is late waits for it, and not for ever."""
    rules = Rules((ErrorRate(),), timing=Timing(minimum=300, maximum=300))
    seen, late = [interval((500, 5))] * 31, [interval(None)] * 2
    assert until_verdict(Judge(rules), [*seen, *late, interval((1500, 15))]).verdict is Verdict.PASS
    standing = until_verdict(Judge(rules), [*seen, *late, *[interval(None)] * 60])
    assert (standing.verdict, standing.elapsed_seconds) == (Verdict.INCONCLUSIVE, 310 + 70)


def test_a_baseline_that_never_speaks_is_told_at_once() -> None:
    """A comparison that was asked for and cannot be made is no absence of evidence."""
    standing = until_verdict(Judge(Rules(BY_ERRORS)), [interval((500, 2))] * 183)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.NO_BASELINE)
    assert standing.elapsed_seconds == 30 + 60 + 10


def test_a_baseline_without_traffic_is_no_comparison() -> None:
    """Neither the limit nor the floor stands in for the comparison with a version that got no requests."""
    standing = until_verdict(Judge(Rules(BY_ERRORS, timing=Timing(maximum=300))), [interval((500, 0), (0, 0))] * 40)
    assert (standing.verdict, standing.reason) == (Verdict.INCONCLUSIVE, Reason.NO_BASELINE)


def test_without_a_past_only_what_is_below_the_floor_passes() -> None:
    """Against history that is not there, an error rate below the floor needs no comparison; any other one does."""
    rules = Rules((ErrorRate(compare=Compare(to=Against.HISTORY)),), timing=Timing(maximum=300))
    assert until_verdict(Judge(rules), [interval((500, 0))] * 40).reason is Reason.PROVEN_SAFE
    assert until_verdict(Judge(rules), [interval((500, 10))] * 40).reason is Reason.NO_BASELINE


def test_shared_incident_is_not_this_release() -> None:
    """While the baseline fails as well nothing speaks against the candidate, and the judge says so."""
    incident = [interval((500, 100), (500, 100)) for _ in range(6)]
    judged = judge(Rules(BY_ERRORS, timing=Timing(minimum=1800)))
    standing = until_verdict(judged, HEALTHY[:20] + incident)
    assert (standing.verdict, standing.reason) == (None, Reason.BASELINE_ALREADY_BAD)
    assert standing.criteria[0].sentence.startswith("Not this release")
    assert until_verdict(judged, HEALTHY[:156]).verdict is not Verdict.FAIL


def test_shared_outage_does_not_fail() -> None:
    """When both arms are down the candidate is not blamed."""
    standing = until_verdict(judge(), [interval((50, 50), (50, 50))] * 30)
    assert standing.verdict is None


def test_suspicion_at_the_end_is_not_passed() -> None:
    """Harm that is likely but not proven ends inconclusive."""
    stream = [*HEALTHY[:3], *[interval((50, 1.05), (50, 0.5)) for _ in range(102)]]
    standing = until_verdict(Judge(Rules(BY_ERRORS, timing=Timing(minimum=990, maximum=990)), HISTORY), stream)
    assert standing.verdict is Verdict.INCONCLUSIVE
    assert standing.reason is Reason.HARM_SUSPECTED


def test_earlier_baseline() -> None:
    """After a full switch history is the baseline: thrice its error rate is tolerated, ten times is not."""
    rules = Rules((ErrorRate(compare=Compare(to=Against.HISTORY)),))
    history = [interval(baseline=(500, 1)) for _ in range(1080)]
    assert until_verdict(Judge(rules, history), [interval((500, 2))] * 183).verdict is Verdict.PASS
    standing = until_verdict(Judge(rules, history), [interval((500, 12))] * 183)
    assert standing.verdict is Verdict.FAIL
    assert standing.criteria[0].baseline == pytest.approx(0.002)


def test_a_watch_compares_with_history_to_its_end() -> None:
    """After an hour the past is as good a baseline as in the first minute."""
    rules = Rules(
        (ErrorRate(compare=Compare(to=Against.HISTORY)),), timing=Timing(initial_delay=0, minimum=7200, maximum=7200)
    )
    history = [interval(baseline=(1500, 15), seconds=30) for _ in range(360)]
    stream = [interval((500, 5 if k < 360 else 22)) for k in range(720)]
    standing = until_verdict(Judge(rules, history), stream)
    assert standing.verdict is Verdict.FAIL
    assert standing.elapsed_seconds <= 3600 + 600


def test_a_watch_knows_what_its_gate_saw() -> None:
    """The burstiness of the bake carries over, so that the watch neither starts blind nor takes old bursts for harm."""
    watch = Rules((ErrorRate(),), timing=Timing(initial_delay=0, minimum=3600, maximum=3600))
    quiet = [interval((500, 5))] * 60
    told, untold = Judge(watch, bake=quiet), Judge(watch)
    harm = [interval((500, 40))] * 60
    assert until_verdict(told, harm).elapsed_seconds < until_verdict(untold, harm).elapsed_seconds


@pytest.mark.parametrize(
    "bake",
    [[0.001] * 12 + [0.04] * 6, [0.001] * 114 + [0.04] * 12, [0.001] * 16 + [0.2] * 2],
    ids=["half a minute of 4 %", "a minute of 4 %", "10 s of 20 %"],
)
def test_a_watch_does_not_forgive_what_began_before_the_pass(bake: list[float]) -> None:
    """Harm that begins in a gate's last seconds is no burst: the watch sees it as soon as after a clean gate."""
    rules = Rules((ErrorRate(),), timing=Timing(interval=5.0, initial_delay=0.0, minimum=3600.0, maximum=3600.0))
    harmed = [interval((250, 250 * rate), seconds=5.0) for rate in bake]
    clean = [interval((250, 0.25), seconds=5.0)] * len(bake)
    late = [interval((250, 25), seconds=5.0)] * 100
    seen, untroubled = (until_verdict(Judge(rules, bake=each), late) for each in (harmed, clean))
    assert (seen.verdict, untroubled.verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert seen.elapsed_seconds <= 1.5 * untroubled.elapsed_seconds


def test_no_baseline_means_limit_only() -> None:
    """Without a comparison the limit decides alone, both ways."""
    rules = Rules((ErrorRate(),))
    assert until_verdict(Judge(rules), [interval((500, 5))] * 183).reason is Reason.PROVEN_SAFE
    assert until_verdict(Judge(rules), [interval((500, 60))] * 183).verdict is Verdict.FAIL


def test_only_a_comparison() -> None:
    """Without a limit the end of the bake passes only what the comparison has proven."""
    rules = Rules((ErrorRate(limit=None, compare=Compare()),), timing=Timing(maximum=300))
    few = until_verdict(Judge(rules, HISTORY), [interval((5, 0), (5, 0))] * 40)
    assert few.verdict is Verdict.INCONCLUSIVE
    assert until_verdict(Judge(rules, HISTORY), HEALTHY).verdict is Verdict.PASS


def test_what_fails_in_both_versions_alike_is_for_a_comparison_alone() -> None:
    """Such as streams that clients break off, 8 % of them: a limit of 5 % blames nobody and never passes, a comparison
    without a limit does."""
    alike = [interval((5000, 400), (5000, 400))] * 183
    timing = Timing(maximum=1800)
    limited = until_verdict(Judge(Rules((ErrorRate(compare=Compare()),), timing=timing)), alike)
    compared = until_verdict(Judge(Rules((ErrorRate(limit=None, compare=Compare()),), timing=timing)), alike)
    assert limited.verdict is Verdict.INCONCLUSIVE
    assert (compared.verdict, compared.reason) == (Verdict.PASS, Reason.PROVEN_SAFE)


def test_non_critical_criteria_only_warn() -> None:
    """A non-critical criterion reports harm and decides nothing."""
    mild = ErrorRate(limit=0.2)
    strict = ErrorRate(name="strict", limit=0.02, critical=False)
    standing = until_verdict(judge(Rules((mild, strict))), [interval((500, 25), (500, 4))] * 183)
    assert standing.verdict is Verdict.PASS
    assert standing.criteria[1].finding is Finding.HARM


def test_risk_is_shared_between_criteria() -> None:
    """The combined evidence is the weighted mean of the criteria's."""
    rules = Rules((ErrorRate(weight=3.0, compare=Compare()), ErrorRate(name="other", limit=0.2)))
    judged = judge(rules)
    standing = until_verdict(judged, [interval((500, 12), (500, 5))] * 5)
    parts = [np.exp(report.log_e_harm or 0.0) for report in standing.criteria]
    assert np.exp(standing.log_e_harm) == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])


def test_smaller_risk_decides_later() -> None:
    """A smaller false-rollback risk asks for more evidence."""

    def seconds(risk: float) -> float:
        rules = Rules(BY_ERRORS, risk=Risk(false_rollback=risk))
        return until_verdict(judge(rules), [interval((500, 15), (500, 5))] * 183).elapsed_seconds

    assert seconds(0.1) < seconds(0.01) < seconds(0.0001)


def test_failed_observation_decides_at_once_after_its_tolerance() -> None:
    """Two noes in a row fail a criterion that tolerates one; noes while settling do not count."""
    rules = Rules((ErrorRate(compare=Compare()), Checks(name="ready", group="ready", failures=2)))
    no, yes = Observation("ready", ok=False, detail="redis refused"), Observation("ready", ok=True)
    answers = [no, no, no, no, yes, no, no]
    stream = [interval((500, 5), (500, 5), observations=(answer,)) for answer in answers]
    standing = until_verdict(judge(rules), stream)
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.OBSERVATION_FAILED)
    assert standing.elapsed_seconds == 70
    assert "redis refused" in standing.criteria[1].sentence


@pytest.mark.parametrize("answer", [None, Observation("ready", ok=None)])
def test_missing_observation_cannot_pass(answer: Observation | None) -> None:
    """A criterion that nobody answered keeps the gate from passing and does not fail it."""
    rules = Rules((ErrorRate(compare=Compare()), Checks(name="ready", group="ready", failures=1)))
    stream = [interval((500, 5), (500, 5), observations=(answer,) if answer else ())] * 183
    standing = until_verdict(judge(rules), stream)
    assert standing.verdict is Verdict.INCONCLUSIVE


def test_observations_alone_need_no_traffic() -> None:
    """A policy of plain answers passes at its first look when all hold."""
    rules = Rules(
        (Checks(name="home", group="ready", failures=1), Checks(name="login", group="ready", failures=1)),
        timing=Timing(initial_delay=0, minimum=0, maximum=60),
    )
    answers = (Observation("home", ok=True), Observation("login", ok=True))
    assert Judge(rules).step(interval(observations=answers)).verdict is Verdict.PASS
    assert Judge(rules).step(interval(observations=answers[:1])).verdict is None


def test_replay_is_exact() -> None:
    """A judge brought back from its stored evidence stands exactly where it stood."""
    random = np.random.default_rng(1)
    stream = [
        interval((int(n), min(int(x), int(n))), (int(m), min(int(y), int(m))) if m > 3 else None)
        for n, x, m, y in random.poisson((8, 1, 8, 1), size=(100, 4))
    ]
    first = judge()
    standings: list[Standing] = [first.step(item) for item in stream]
    assert replay(Rules(BY_ERRORS), HISTORY, stream[:-1]).step(stream[-1]) == standings[-1]


def test_report_numbers() -> None:
    """A report carries what was seen after settling, the limits and an interval around the rate."""
    standing = until_verdict(judge(Rules(BY_ERRORS, timing=Timing(minimum=1800))), HEALTHY[:13])
    report = standing.criteria[0]
    assert (report.requests, report.bad, report.baseline_requests, report.baseline_bad) == (5000, 50, 5000, 50)
    assert (report.observed, report.limit, report.baseline) == (0.01, 0.05, 0.01)
    assert report.interval is not None
    assert 0 < report.interval[0] < 0.01 < report.interval[1] < 0.05
    assert report.requests_needed is not None
    assert report.p_value == 1.0
    assert "1 % (50 of 5,000 requests)" in report.sentence


def test_latency_alone_without_telemetry_for_it() -> None:
    """Requests without latencies leave a latency criterion open, and the gate inconclusive."""
    rules = Rules((Latency(compare=Compare()),), timing=Timing(maximum=300))
    standing = until_verdict(Judge(rules), HEALTHY)
    assert standing.verdict is Verdict.INCONCLUSIVE
    assert standing.criteria[0].finding is Finding.OPEN
