"""An error rate that is also judged route by route."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from math import comb, exp

import numpy as np
import pytest

from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Verdict
from healthd_gates.domain.strata import MOST, OTHER, Choice, cleaned
from healthd_gates.judge.judge import Judge, replay
from healthd_gates.judge.rules import Rules, Timing
from healthd_gates.store.serialization import read_evidence, standing_document, write_evidence
from tests.unit.gates.judge.evidence import START, until_verdict

ROUTES = [f"/{place}" for place in range(10)]
BESIDE = ErrorRate(by="route", compare=Compare())
ALONE = ErrorRate(by="route")
TIMING = Timing(interval=5.0, initial_delay=0.0, minimum=60.0, maximum=150.0)

Tallies = Mapping[str, tuple[float, float]]


def arm(tallies: Tallies) -> Counts:
    """One arm's counts, the total and each route."""
    return Counts(sum(n for n, _ in tallies.values()), sum(x for _, x in tallies.values()), strata=tallies)


def look(candidate: Tallies, baseline: Tallies | None = None, seconds: float = 5.0) -> Evidence:
    return Evidence(START, seconds, arm(candidate), None if baseline is None else arm(baseline))


def fine(n: float = 100, bad: float = 1) -> dict[str, tuple[float, float]]:
    """Every route with the same counts."""
    return dict.fromkeys(ROUTES, (n, bad))


def without(route: str) -> dict[str, tuple[float, float]]:
    return {name: tally for name, tally in fine().items() if name != route}


def judged(rule: ErrorRate, evidence: list[Evidence], history: list[Evidence] | None = None) -> Standing:
    return until_verdict(Judge(Rules((rule,), timing=TIMING), history or []), evidence)


def stratum(report: CriterionReport, name: str) -> Finding:
    return next(each.finding for each in report.strata if each.name == name)


@pytest.mark.parametrize("rule", [BESIDE, ALONE], ids=["beside a baseline", "by its limit"])
def test_a_route_that_fails_is_found_and_named(rule: ErrorRate) -> None:
    """3.6 % in all is within the limit; a third of one route is not."""
    bad = fine() | {"/3": (100, 27)}
    standing = judged(rule, [look(bad, fine() if rule is BESIDE else None)] * 30)
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
    assert standing.elapsed_seconds <= 60
    (report,) = standing.criteria
    assert " on route /3: 27 % (" in report.sentence
    assert "3.6 % (" in report.sentence
    assert "limit 5 %" in report.sentence
    assert [each.name for each in report.strata if each.finding is Finding.HARM] == ["/3"]
    assert (report.by, report.strata_seen, report.strata[0].name) == ("route", 10, "/3")
    low, high = report.strata[0].interval or (0, 0)
    assert 0.05 < low < 0.27 < high


def test_without_a_split_the_total_hides_it() -> None:
    """The same numbers pass where nobody asks for the routes."""
    standing = judged(ErrorRate(), [look(fine() | {"/3": (100, 27)})] * 60)
    assert standing.verdict is Verdict.PASS


def test_the_total_names_the_route_too() -> None:
    """Where the total decides first, as against a baseline that has no errors at all."""
    standing = judged(BESIDE, [look(fine(bad=0) | {"/3": (100, 100)}, fine(bad=0))] * 30)
    (report,) = standing.criteria
    assert standing.verdict is Verdict.FAIL
    assert "/3: 100 % (" in report.sentence
    assert stratum(report, "/3") is not Finding.SAFE


def test_harm_in_all_routes_is_still_the_totals() -> None:
    """The total keeps half of the risk: it is at most one report later, and no route is blamed."""
    bad = look(fine(bad=12), fine())
    times = [judged(rule, [bad] * 60).elapsed_seconds for rule in (BESIDE, ErrorRate(compare=Compare()))]
    assert times[0] <= times[1] + 5
    assert " on route" not in judged(BESIDE, [bad] * 60).criteria[0].sentence


def test_what_the_baseline_does_too_is_not_the_releases() -> None:
    """A route that fails in both versions fails no release, though it is above the limit."""
    bad = fine() | {"/3": (20, 10)}
    assert judged(BESIDE, [look(bad, bad)] * 60).verdict is not Verdict.FAIL


def test_what_a_route_failed_before_is_not_the_releases() -> None:
    """Without a version beside it the past says what is usual for a route; ten times a usual 1 % is not."""
    usual = fine() | {"/3": (20, 3)}
    history = [look({}, usual, 30.0)] * 300
    assert judged(ALONE, [look(usual)] * 60, history).verdict is Verdict.PASS
    assert judged(ALONE, [look(usual)] * 60).verdict is Verdict.FAIL
    standing = judged(ALONE, [look(usual | {"/3": (20, 14)})] * 60, history)
    assert (standing.verdict, stratum(standing.criteria[0], "/3")) == (Verdict.FAIL, Finding.HARM)


def test_a_route_of_the_candidate_alone_is_held_to_the_limit() -> None:
    standing = judged(BESIDE, [look(fine() | {"/new": (20, 20)}, fine())] * 60)
    assert standing.verdict is Verdict.FAIL
    assert "above the limit on route /new" in standing.criteria[0].sentence


def test_a_route_that_gets_no_requests_is_told_and_passes_only_at_the_end() -> None:
    """It may have been taken out on purpose, so that it fails nobody; it is no proof of health either."""
    standing = judged(BESIDE, [look(without("/3"), fine())] * 40)
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.NO_EVIDENCE_OF_HARM)
    assert standing.elapsed_seconds >= TIMING.maximum
    assert "route /3 has none of about" in standing.criteria[0].sentence
    assert stratum(standing.criteria[0], "/3") is Finding.NO_TRAFFIC


def test_routes_with_few_requests_block_no_pass() -> None:
    """It comes as early as without a split, and says how many routes it speaks of."""
    few = fine() | {f"/rare/{place}": (0.02, 0.0) for place in range(20)}
    timing = replace(TIMING, maximum=300.0)
    split, whole = (
        until_verdict(Judge(Rules((rule,), timing=timing)), [look(few, few)] * 60)
        for rule in (BESIDE, ErrorRate(compare=Compare()))
    )
    assert (split.verdict, split.reason) == (Verdict.PASS, Reason.PROVEN_SAFE)
    assert split.elapsed_seconds == whole.elapsed_seconds
    assert "By route: 10 of 30 proven" in split.criteria[0].sentence


def test_a_route_that_is_above_its_limit_so_far_holds_the_early_pass() -> None:
    """Nine of ninety requests are proven neither way at the minimum: the gate looks on, until it knows."""
    bad = fine() | {"/3": (10, 1)}
    standing = judged(ALONE, [look(bad)] * 60)
    assert standing.elapsed_seconds > TIMING.minimum
    judge = Judge(Rules((ALONE,), timing=TIMING))
    for _ in range(13):
        standing = judge.step(look(bad))
    assert standing.verdict is None
    assert "route /3 is above its limit, 10 % (13 of 130 requests)" in standing.criteria[0].sentence
    assert standing.criteria[0].finding is not Finding.SAFE


def test_a_route_that_fails_in_the_last_minute_is_not_proven_safe() -> None:
    """Minutes of good numbers before do not outweigh it."""
    late = [look(fine())] * 27 + [look(fine() | {"/3": (30, 30)})] * 3
    timing = replace(TIMING, minimum=150.0)
    standing = until_verdict(Judge(Rules((ALONE,), timing=timing)), late + [look(without("/3"))] * 10)
    assert (standing.verdict, standing.reason) != (Verdict.PASS, Reason.PROVEN_SAFE)


def test_trouble_of_ten_seconds_in_every_route_decides_nothing() -> None:
    blip = look(fine(bad=90), fine())
    standing = judged(BESIDE, [look(fine(), fine())] * 6 + [blip] * 2 + [look(fine(), fine())] * 60)
    assert standing.verdict is not Verdict.FAIL


def test_ids_in_the_path_cost_no_more_than_a_bound() -> None:
    """A source counts at most 51 apart; more than those of the past and of the gate together are not followed."""
    judge = Judge(Rules((BESIDE,), timing=TIMING))
    for place in range(20):
        ids = {f"/orders/{place}/{number}": (1.0, 0.0) for number in range(500)}
        standing = judge.step(look(ids, ids))
    assert standing.criteria[0].strata_seen == 2 * (MOST + 1)
    assert len(standing.criteria[0].strata) == 10


def test_a_gate_that_was_killed_stands_where_it_stood() -> None:
    """All that it knows of routes is in the evidence, as it is stored."""
    rules = Rules((BESIDE,), timing=TIMING)
    evidence = [look(fine() | {"/3": (100, 9), f"/late/{place}": (30, 1)}, fine()) for place in range(9)]
    one, stored = Judge(rules, evidence[:2]), read_evidence(write_evidence(evidence))
    assert stored == evidence
    for item in evidence[:-1]:
        one.take(item)
    assert replay(rules, stored[:2], stored[:-1]).step(stored[-1]) == one.step(evidence[-1])


def test_the_standing_as_json_has_the_routes() -> None:
    document = standing_document(judged(BESIDE, [look(fine() | {"/3": (100, 40)}, fine())] * 30))
    first = document["criteria"][0]["strata"][0]
    assert (first["name"], first["finding"]) == ("/3", "harm")


def test_evidence_of_an_older_release_has_no_routes() -> None:
    text = write_evidence([Evidence(START, 5.0, Counts(10, 1))]).replace(',"strata":{},"strata_latency":{}', "")
    assert "strata" not in text
    assert read_evidence(text) == [Evidence(START, 5.0, Counts(10, 1))]


def test_numbers_that_were_not_split_are_told() -> None:
    standing = Judge(Rules((ALONE,), timing=TIMING)).step(Evidence(START, 5.0, Counts(100, 1)))
    assert "Nothing is split by route" in standing.criteria[0].sentence


def test_the_mean_over_routes_expects_at_most_one() -> None:
    """Exact: all outcomes of two looks at the limit, of a route that is there and of one that comes later."""
    limit, expected, n = 0.3, 0.0, 4
    rule = ErrorRate(by="route", limit=limit)
    timing = Timing(interval=5.0, initial_delay=0.0, minimum=60.0, maximum=600.0, blip=0.0)
    for a, b, c in product(range(n + 1), repeat=3):
        chance = 1.0
        for bad in (a, b, c):
            chance *= comb(n, bad) * limit**bad * (1 - limit) ** (n - bad)
        judge = Judge(Rules((rule,), timing=timing))
        judge.take(look({"/a": (n, a)}))
        judge.take(look({"/a": (n, b), "/b": (n, c)}))
        expected += chance * exp(judge.log_e_harm)
    assert 0.5 < expected <= 1 + 1e-9


@pytest.mark.proof
def test_healthy_releases_are_not_rolled_back_for_one_of_their_routes() -> None:
    """Eight gates of twenty routes, of unlike traffic and error rates and with bursts: none fails.
    `python -m bench.detection.routes` draws many more."""
    rng = np.random.default_rng(20261126)
    share = rng.dirichlet(np.full(20, 0.5))
    rates, odds = np.geomspace(0.002, 0.02, 20), 1 / 0.02 - 1
    for _ in range(8):
        judge = Judge(Rules((BESIDE,), timing=TIMING))
        for _ in range(30):
            arms = []
            for _ in range(2):
                n = rng.poisson(share * 250)
                x = rng.binomial(n, rng.beta(rates * odds, (1 - rates) * odds))
                arms.append({f"/{i}": (float(n[i]), float(x[i])) for i in range(20) if n[i]})
            judge.take(look(arms[0], arms[1]))
            assert judge.decision[0] is not Verdict.FAIL


def test_the_choice_looks_at_traffic_and_stays() -> None:
    """What has the most requests is counted apart, whatever fails; all the rest is one."""
    choice = Choice()
    choice.begin({f"/{n}": n for n in range(100)})
    assert set(choice.names) == {f"/{n}" for n in range(60, 100)}
    (counts,) = choice.fold(Counts(9, 5, strata={"/0": (2, 2), "/1": (1, 1), OTHER: (1, 0), "/99": (5, 2)}))
    assert counts is not None
    assert counts.strata == {"/0": (2, 2), "/1": (1, 1), OTHER: (1, 0), "/99": (5, 2)}
    (more,) = choice.fold(Counts(99, 0, strata={f"/new/{n}": (n, 0) for n in range(1, 99)}))
    assert more is not None
    assert len(more.strata) == MOST - 42 + 1
    assert sum(n for n, _ in more.strata.values()) == sum(range(1, 99))
    assert choice.names[:40] == Choice(choice.names).names[:40]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("/checkout", "/checkout"),
        ("/a\nb\x1b[31m", "/a?b?[31m"),
        ("\u202e/evil\ud800", "?/evil?"),
        ("/" + "x" * 5000, "/" + "x" * 98 + "…"),
        ("  ", ""),
    ],
)
def test_names_are_fit_for_a_sentence(value: str, name: str) -> None:
    assert cleaned(value) == name


def test_while_it_settles_a_route_decides_nothing() -> None:
    """A cold route may fail at first; what it fails afterwards counts, by weights that the traffic before has set."""
    rules = Rules((ALONE,), timing=replace(TIMING, initial_delay=30.0))
    cold = [look(fine() | {"/3": (20, 20)})] * 6
    judge = Judge(rules)
    assert [judge.step(item).verdict for item in cold] == [None] * 6
    assert judge.log_e_harm <= 0
    assert until_verdict(judge, [look(fine())] * 20).verdict is Verdict.PASS


def test_without_a_limit_the_comparison_alone_holds_a_route() -> None:
    rule = ErrorRate(by="route", limit=None, compare=Compare())
    usual = fine() | {"/3": (100, 20)}
    standing = judged(rule, [look(usual, usual)] * 60)
    assert standing.verdict is not Verdict.FAIL
    assert standing.criteria[0].strata[0].limit is None
    standing = judged(rule, [look(fine(bad=10) | {"/3": (100, 90)}, fine(bad=10))] * 60)
    assert standing.verdict is Verdict.FAIL
    assert "/3: 90 % (" in standing.criteria[0].sentence


def test_a_route_that_failed_nearly_always_has_no_limit_left() -> None:
    """There is nothing that twice as much could be; the total still holds."""
    history = [look({}, fine() | {"/3": (20, 15)}, 30.0)] * 300
    standing = judged(ALONE, [look(fine() | {"/3": (20, 20)})] * 60, history)
    assert standing.verdict is Verdict.PASS
    assert stratum(standing.criteria[0], "/3") is Finding.OPEN


def test_a_version_that_is_not_split_is_not_compared_by_route() -> None:
    """As when the baseline's counters have no such label."""
    standing = judged(BESIDE, [Evidence(START, 5.0, arm(fine()), Counts(1000, 10))] * 60)
    assert standing.verdict is Verdict.PASS
    assert all(each.baseline_requests == 0 for each in standing.criteria[0].strata)


def test_an_outage_of_the_numbers_says_nothing_of_routes() -> None:
    judge = Judge(Rules((BESIDE,), timing=TIMING))
    judge.step(look(fine(), fine()))
    for _ in range(30):
        standing = judge.step(Evidence(START, 5.0, None, arm(fine())))
    assert standing.criteria[0].sentence.endswith("no telemetry from the candidate.")


def test_what_both_versions_fail_while_one_settles_is_not_the_releases() -> None:
    """A route is compared from the start, as the total is."""
    rules = Rules((BESIDE,), timing=replace(TIMING, initial_delay=30.0))
    judge = Judge(rules)
    cold = look(fine() | {"/3": (20, 20)}, fine() | {"/3": (20, 20)})
    assert [judge.step(cold).verdict for _ in range(6)] == [None] * 6
    assert judge.log_e_harm <= 0
    assert until_verdict(judge, [look(fine(), fine())] * 40).verdict is Verdict.PASS
