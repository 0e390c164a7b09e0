"""The vectorised judge of the bench is the product's: the same evidence of harm and the same proofs, look by look."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from bench.detection import cells
from bench.detection.judged import Outcome, evidence_of, history_of, judged_at_once, shipped
from bench.detection.streams import Scenario, Stream, simulate
from bench.detection.trials import Cell, Result, Tally, at_least, at_most
from bench.detection.vectorised.burstiness import Counts
from bench.detection.vectorised.judge import ErrorRates
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.criterion import Criterion, Frame, Look
from healthd_gates.judge.past import Past
from healthd_gates.judge.rhythm import Rhythm

pytestmark = pytest.mark.proof

LOOKS, RUNS = 60, 2
NO_PAST = "spells without a past"
SCENARIOS = (
    *(Scenario(kind.name, burst=kind.burst, history_burst=0.0) for kind in cells.HEALTHY if kind.burst),
    Scenario("gaps", missing=0.3),
    Scenario("incident in the past", ratio=5.0, history_incident=0.3),
    Scenario("a fleet", level=0.1, scrape=30),
    Scenario("intermittent", intermittent=0.5),
    Scenario("shared", shared_incident=0.2),
    Scenario(NO_PAST, intermittent=0.06),
)


def product(stream: Stream, policy: Policy, rule: ErrorRate, every: float) -> Iterator[Criterion]:
    """The product's criterion after each look."""
    rules = policy.verdict_rules()
    criterion = rule.build(Frame(rules.risk, rules.timing), Past.of(history_of(stream)))
    rhythm = Rhythm()
    for place, evidence in enumerate(evidence_of(stream, every, beside=policy.needs_baseline)):
        rhythm.step(evidence)
        criterion.step(Look(evidence, every * (place + 0.5) < rules.timing.initial_delay, rhythm))
        yield criterion


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize(
    ("name", "rate", "base"), [("canary", 50.0, 0.01), ("post-switch", 5.0, 0.03), ("analysis", 50.0, 0.01)]
)
def test_every_look_is_judged_as_the_product_judges_it(scenario: Scenario, name: str, rate: float, base: float) -> None:
    """ln E of harm within rounding, and the same proofs of safety, in each run."""
    policy = Policy.model_validate(SHIPPED[name])
    rule = policy.criteria[0]
    assert isinstance(rule, ErrorRate)
    assert rule.limit is not None
    every = policy.interval
    streams = [simulate(scenario, rate, base, np.random.default_rng([7, run]), every) for run in range(RUNS)]
    if scenario.name == NO_PAST:
        streams = [replace(stream, history=(np.zeros(0), np.zeros(0))) for stream in streams]
    past = (np.array([s.history[0] for s in streams]), np.array([s.history[1] for s in streams]))
    judge = ErrorRates(policy.verdict_rules(), rule.comparison, rule.limit, past)
    originals = [product(stream, policy, rule, every) for stream in streams]
    for look in range(LOOKS):
        n, x, m, y = (np.array([getattr(stream, part)[look] for stream in streams]) for part in "nxmy")
        judge.step(Counts.of(n, x), Counts.of(m, y) if policy.needs_baseline else None, streams[0].span)
        expected = [next(original) for original in originals]
        assert judge.log_e_harm == pytest.approx([criterion.log_e_harm for criterion in expected], rel=1e-9, abs=1e-9)
        assert judge.proven.tolist() == [criterion.proven for criterion in expected]


def test_a_gate_ends_as_its_numbers_say() -> None:
    """Harm is rolled back, a steady release passes, and one that turns bad after its pass is the watch's."""

    def outcome(scenario: Scenario, base: float, early_pass: bool = True) -> Outcome:
        stream = simulate(scenario, 500.0, base, np.random.default_rng(3))
        return judged_at_once([stream], 5.0, early_pass, shipped("canary", 5.0))[0]

    harmed = outcome(Scenario("", harmful=True, ratio=5.0), 0.01)
    assert (harmed.verdict, harmed.rollback <= 100) == (Verdict.FAIL, True)
    steady = outcome(Scenario("", passes=True), 0.001)
    assert (steady.verdict, steady.seconds <= 120, steady.rollback) == (Verdict.PASS, True, float("inf"))
    late = outcome(Scenario("", harmful=True, level=0.5, onset=300.0), 0.001)
    assert (late.verdict, 300 < late.rollback < 400) == (Verdict.PASS, True)


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    """No event in 300 runs leaves 1 % out, and one in ten is known by tables of the binomial."""
    assert at_least(0, 300) == 0.0
    assert at_most(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert at_most(0, 300) < 0.01 < at_most(0, 298)
    assert (at_least(1, 10), at_most(1, 10)) == pytest.approx((0.005116, 0.394163), abs=1e-6)


def test_a_pass_before_the_candidate_died_is_no_blind_one() -> None:
    """Of passes at 75, 100 and 105 s of a candidate that died at 100 s the last alone is."""
    died = Cell(Scenario("dies", dies=100.0), 50.0, 0.01)
    assert Result(died, Tally((inf,) * 3), Tally((75.0, 100.0, 105.0))).blind.times == (inf, inf, 105.0)
