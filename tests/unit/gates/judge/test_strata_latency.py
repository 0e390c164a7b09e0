"""A latency that is also judged route by route."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Verdict
from healthd_gates.domain.strata import MOST, OTHER, Choice
from healthd_gates.judge.judge import Judge, replay
from healthd_gates.judge.rules import Against, Rules, Timing
from healthd_gates.schema.evidence import IntervalDocument
from healthd_gates.store.serialization import read_evidence, standing_document, write_evidence
from tests.unit.gates.judge.evidence import START, until_verdict

EDGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, inf)
ROUTES = [f"/{place}" for place in range(10)]
BESIDE = Latency(by="route", limit=0.5, compare=Compare())
ALONE = Latency(by="route", limit=0.5)
TIMING = Timing(interval=5.0, initial_delay=0.0, minimum=60.0, maximum=150.0)

Routes = Mapping[str, Histogram]


def took(seconds: float, requests: float = 100) -> Histogram:
    """So many requests, nine of ten in the bucket of that latency, the others in the one below."""
    place = next(at for at, edge in enumerate(EDGES) if seconds <= edge)
    counts = [0.0] * len(EDGES)
    counts[place] += 0.9 * requests
    counts[max(0, place - 1)] += 0.1 * requests
    return Histogram(EDGES, tuple(counts), seconds * requests)


def arm(routes: Routes) -> Counts:
    total = sum(latency.total for latency in routes.values())
    whole = Histogram.together(tuple(routes.values())) if routes else None
    strata = {name: (latency.total, 0.0) for name, latency in routes.items()}
    return Counts(total, 0.0, whole, strata, dict(routes))


def look(candidate: Routes, baseline: Routes | None = None, seconds: float = 5.0) -> Evidence:
    return Evidence(START, seconds, arm(candidate), None if baseline is None else arm(baseline))


def fine(seconds: float = 0.05, requests: float = 100) -> dict[str, Histogram]:
    """Every route with the same latency."""
    return dict.fromkeys(ROUTES, took(seconds, requests))


def judged(rule: Latency, evidence: list[Evidence], history: list[Evidence] | None = None) -> Standing:
    return until_verdict(Judge(Rules((rule,), timing=TIMING), history or []), evidence)


def stratum(report: CriterionReport, name: str) -> Finding:
    return next(each.finding for each in report.strata if each.name == name)


@pytest.mark.parametrize("rule", [BESIDE, ALONE], ids=["beside a baseline", "by its limit"])
def test_a_route_that_hangs_is_found_and_named(rule: Latency) -> None:
    """It has 4 % of the requests, which the p95 of all of them does not see."""
    slow = fine() | {"/3": took(5.0, 37)}
    standing = judged(rule, [look(slow, fine() if rule is BESIDE else None)] * 30)
    assert (standing.verdict, standing.reason) == (Verdict.FAIL, Reason.HARM)
    assert standing.elapsed_seconds <= 60
    (report,) = standing.criteria
    assert " on route /3: about " in report.sentence
    assert " in all; limit 500 ms" in report.sentence
    assert [each.name for each in report.strata if each.finding is Finding.HARM] == ["/3"]
    worst = report.strata[0]
    assert (report.by, report.strata_seen, worst.name, worst.bad) == ("route", 10, "/3", worst.requests)
    assert worst.observed is not None
    assert worst.observed > 2.5


def test_without_a_split_the_total_hides_it() -> None:
    standing = judged(Latency(limit=0.5), [look(fine() | {"/3": took(5.0, 37)})] * 60)
    assert standing.verdict is Verdict.PASS


def test_a_route_that_is_slower_than_it_was_is_found_within_the_limit() -> None:
    """Ten times its baseline, and still half of what all are allowed."""
    rule = replace_limit(BESIDE, 5.0)
    standing = judged(rule, [look(fine(0.025) | {"/3": took(0.25)}, fine(0.025))] * 60)
    assert standing.verdict is Verdict.FAIL
    assert "longer than the baseline allows on route /3" in standing.criteria[0].sentence


def replace_limit(rule: Latency, limit: float) -> Latency:
    return rule.model_copy(update={"limit": limit})


def test_a_route_that_was_always_slow_fails_no_release() -> None:
    """An export among pages: beside a baseline that is as slow, and by the past where there is none."""
    usual = fine() | {"/export": took(2.5, 30)}
    assert judged(BESIDE, [look(usual, usual)] * 60).verdict is not Verdict.FAIL
    history = [look({}, usual, 30.0)] * 300
    assert judged(ALONE, [look(usual)] * 60, history).verdict is Verdict.PASS
    assert judged(ALONE, [look(usual)] * 60).verdict is Verdict.FAIL
    compared = ALONE.model_copy(update={"compare": Compare.model_validate({"to": Against.HISTORY})})
    standing = judged(compared, [look(usual | {"/0": took(5.0, 20)})] * 60, history)
    assert (standing.verdict, stratum(standing.criteria[0], "/0")) == (Verdict.FAIL, Finding.HARM)


def test_a_route_that_gets_no_requests_is_told_and_passes_only_at_the_end() -> None:
    without = {name: latency for name, latency in fine().items() if name != "/3"}
    standing = judged(BESIDE, [look(without, fine())] * 40)
    assert (standing.verdict, standing.reason) == (Verdict.PASS, Reason.NO_EVIDENCE_OF_HARM)
    assert "route /3 has none of about " in standing.criteria[0].sentence


def test_a_source_that_splits_nothing_is_told() -> None:
    whole = Counts(1000, 0, took(0.05, 1000))
    standing = judged(ALONE, [Evidence(START, 5.0, whole)] * 60)
    assert standing.verdict is Verdict.PASS
    assert "Nothing is split by route: no request has that label." in standing.criteria[0].sentence


@pytest.mark.proof
def test_healthy_releases_pass_and_are_not_rolled_back() -> None:
    """Twenty routes of unlike latencies, in both versions, on seeds of its own."""
    failed = passed = 0
    for seed in range(20):
        rng = np.random.default_rng([20261127, seed])
        medians = np.geomspace(0.005, 0.4, 20)

        def draw(rng: np.random.Generator = rng, medians: np.ndarray = medians) -> dict[str, Histogram]:
            found = {}
            for place, median in enumerate(medians):
                drawn = median * np.exp(0.7 * rng.standard_normal(rng.poisson(12)))
                counts = np.histogram(drawn, (0.0, *EDGES[:-1], np.inf))[0]
                if counts.sum():
                    found[f"/{place}"] = Histogram(EDGES, tuple(map(float, counts)))
            return found

        standing = judged(replace_limit(BESIDE, 5.0), [look(draw(), draw()) for _ in range(30)])
        failed += standing.verdict is Verdict.FAIL
        passed += standing.verdict is Verdict.PASS
    assert failed == 0
    assert passed >= 18


def test_what_is_stored_is_judged_alike() -> None:
    """By the journal's form and by the API's document."""
    evidence = [look(fine() | {"/3": took(1.0, 20)}, fine())] * 9
    rules = Rules((BESIDE,), timing=TIMING)
    told = Judge(rules)
    for each in evidence:
        told.take(each)
    stored = [again for each in evidence for again in read_evidence(write_evidence([each]))]
    assert stored == evidence
    shown = [IntervalDocument.of(each).evidence() for each in evidence]
    assert shown == evidence
    again = replay(rules, [], stored)
    assert standing_document(again.step(evidence[0])) == standing_document(told.step(evidence[0]))


def test_what_is_beyond_the_most_is_one_more() -> None:
    """In the buckets that all of them share."""
    many = {f"/{place:03}": took(0.05, 100 - place / 10) for place in range(MOST + 10)}
    odd = replace(arm({}), strata_latency={**many, "/odd": Histogram((0.05, inf), (1.0, 2.0), 3.0)})
    choice = Choice()
    choice.begin({name: latency.total for name, latency in many.items()})
    (folded,) = choice.fold(odd)
    assert folded is not None
    assert len(folded.strata_latency) == MOST + 1
    assert folded.strata_latency[OTHER].edges == (0.05, inf)
    total = sum(latency.total for latency in folded.strata_latency.values())
    assert total == pytest.approx(sum(latency.total for latency in many.values()) + 3)


def test_while_it_settles_a_route_decides_nothing() -> None:
    """A cold route may be slow at first."""
    judge = Judge(Rules((ALONE,), timing=replace(TIMING, initial_delay=30.0)))
    cold = look(fine() | {"/3": took(5.0, 20)})
    assert [judge.step(cold).verdict for _ in range(6)] == [None] * 6
    assert until_verdict(judge, [look(fine())] * 40).verdict is Verdict.PASS


def test_without_a_limit_the_comparison_alone_holds_a_route() -> None:
    rule = Latency(by="route", limit=None, compare=Compare())
    standing = judged(rule, [look(fine() | {"/3": took(5.0)}, fine())] * 60)
    assert standing.verdict is Verdict.FAIL
    assert "baseline" in standing.criteria[0].sentence
    assert "limit" not in standing.criteria[0].sentence


def test_a_version_that_measures_no_latency_is_not_missed_by_route() -> None:
    """Nor is anything due to a route in a look in which the baseline measures none either."""
    counted = Evidence(START, 5.0, Counts(1000, 0), Counts(1000, 0))
    judge = Judge(Rules((BESIDE,), timing=TIMING))
    judge.step(look(fine(), fine()))
    assert judge.step(counted).verdict is None
