"""What a look makes of a ramp, as values: no journal, no clock."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from healthd_gates.domain.action_order import ActionRun, Departed, Occasion, OrderState
from healthd_gates.domain.gate import EventKind, Gate, GateState
from healthd_gates.domain.ramp import Pause, Ramp
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine.ramp_sighting import Sighting
from healthd_gates.engine.ramping import on_look
from healthd_gates.engine.step import Step
from healthd_gates.engine.transitions import on_ramp_look
from healthd_gates.judge.follow import Silence
from healthd_gates.judge.ramp import Allowance
from tests.unit.gates.engine.values import NOW, gate, run, spec, standing

COMPARE = [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}]
RAMP = Ramp(until=NOW + timedelta(hours=1), weight=0.25, step=2, done_at=NOW, since=NOW)
PLENTY = Allowance(excess=0.001, spent=0.0, traffic=500.0, reaction=10.0)
LOOK = replace(standing(None, Reason.NOT_ENOUGH_EVIDENCE), log_e_harm=0.0)


def seen(allowance: Allowance = PLENTY, requests: float = 250.0) -> Sighting:
    return Sighting(allowance, requests, 1000.0, reported=True, silence=Silence(0.0, 0.0), patience=60.0)


def looked(ramp: Ramp | None, sighting: Sighting) -> tuple[Gate, bool]:
    """The gate after the look, and whether it orders a wider weight."""
    policy = spec({"on_ramp": ["shift"]}, criteria=COMPARE, ramp={"budget": 300})
    after, wider, end = on_look(gate(GateState.RAMPING, ramp=ramp), LOOK, sighting, (), policy, NOW)
    assert end is None
    return after, wider is not None


def test_a_gate_without_a_ramp_has_none() -> None:
    assert looked(None, seen()) == (gate(GateState.RAMPING), False)


def test_what_the_evidence_allows_is_ordered() -> None:
    """Four times as much at most; it is under way then."""
    after, wider = looked(RAMP, seen())
    assert wider
    assert after.ramp is not None
    assert (after.ramp.weight, after.ramp.step, after.ramp.held) == (1.0, 3, "it is under way")


def test_nothing_is_ordered_while_harm_is_suspected() -> None:
    policy = spec({"on_ramp": ["shift"]}, criteria=COMPARE, ramp={"budget": 300})
    suspected = replace(LOOK, log_e_harm=3.0)
    after, wider, _ = on_look(gate(GateState.RAMPING, ramp=RAMP), suspected, seen(), (), policy, NOW)
    assert wider is None
    assert after.ramp is not None
    assert after.ramp.held == "harm is suspected"


@pytest.mark.parametrize(
    ("ramp", "sighting", "why"),
    [
        (replace(RAMP, pause=Pause(1, NOW, by="ann", reason="a look")), seen(), "ann"),
        (replace(RAMP, done_at=None), seen(), "it is under way"),
        (RAMP, seen(replace(PLENTY, traffic=0.0)), "the baseline has sent no numbers of traffic yet"),
        (RAMP, seen(replace(PLENTY, spent=300.0)), "the harm budget of 300 requests is spent"),
    ],
)
def test_what_stands_in_its_way_is_told(ramp: Ramp, sighting: Sighting, why: str) -> None:
    after, wider = looked(ramp, sighting)
    assert not wider
    assert after.ramp is not None
    assert why in after.ramp.held


def test_a_full_ramp_is_only_looked_at() -> None:
    full = replace(RAMP, weight=1.0, full_at=NOW)
    after, wider = looked(full, seen(requests=1000.0))
    assert (after.ramp, wider) == (replace(full, share=1.0), False)


@pytest.mark.parametrize(
    "ramp",
    [RAMP, replace(RAMP, weight=1.0, full_at=NOW), replace(RAMP, pause=Pause(1, NOW, by="ann", reason="a look"))],
)
def test_a_weight_that_the_balancer_has_forgotten_is_ordered_once_more(ramp: Ramp) -> None:
    """With a key of its own, so that it is carried out; neither wider nor narrower, and in a pause too."""
    policy = spec({"on_ramp": ["shift"]}, criteria=COMPARE, ramp={"budget": 300})
    gone = Departed("HAProxy has begun anew", is_forgotten=True)
    after, again, end = on_look(gate(GateState.RAMPING, ramp=ramp), LOOK, seen(), (), policy, NOW, gone)
    assert (after.ramp is not None, again is not None, end) == (True, True, None)
    assert after.ramp is not None
    assert again is not None
    assert (after.ramp.weight, after.ramp.step, after.ramp.done_at) == (ramp.weight, 3, None)
    assert after.ramp.full_at == ramp.full_at
    assert (again.orders, again.weights) == (((Occasion.RAMP, "shift"),), {"shift": ramp.weight})
    ((kind, told),) = again.events
    assert (kind, told["from"], told["weight"]) == (EventKind.RAMP, ramp.weight, ramp.weight)
    assert told["why"] == "HAProxy has begun anew"


def test_a_pass_waits_until_a_balancer_that_lost_the_traffic_has_its_weights_again() -> None:
    """What follows a pass may take the old version away, which has all of the traffic by the balancer's file. One that
    cannot be given them ends the ramp."""
    policy = spec({"on_ramp": ["shift"]}, criteria=COMPARE, ramp={"budget": 300}, observe={"min": "1m", "max": "5m"})
    passed = replace(LOOK, verdict=Verdict.PASS, reason=Reason.PROVEN_SAFE)
    full = replace(RAMP, weight=1.0, full_at=NOW - timedelta(minutes=2))
    gone = Departed("HAProxy has begun anew", is_forgotten=True)

    def step_of(ramp: Ramp, *orders: ActionRun, gone: Departed | None = None) -> Step:
        before = gate(GateState.OBSERVING, ramp=ramp)
        return on_ramp_look(before, passed, (), seen(requests=1000.0), orders, policy, NOW, gone=gone)

    assert step_of(full).gate.decision is not None
    again = step_of(full, gone=gone)
    assert (again.gate.decision, again.orders) == (None, ((Occasion.RAMP, "shift"),))
    assert again.gate.ramp is not None
    assert step_of(again.gate.ramp, run(OrderState.DUE, action="shift")).gate.decision is None
    done = step_of(again.gate.ramp, run(OrderState.SEEN, action="shift", finished_at=NOW)).gate.decision
    assert done is not None
    assert done.verdict is Verdict.PASS
    lost = step_of(again.gate.ramp, run(OrderState.GIVEN_UP, action="shift")).gate.decision
    assert lost is not None
    assert lost.verdict is Verdict.INCONCLUSIVE


def test_a_weight_that_somebody_else_has_set_holds_the_ramp() -> None:
    """It may be meant: nothing is set against it, and the silence of a release that gets nothing ends it as ever."""
    policy = spec({"on_ramp": ["shift"]}, criteria=COMPARE, ramp={"budget": 300})
    gone = Departed("HAProxy gives g1 the weight 0 and not 25", is_forgotten=False)
    after, wider, end = on_look(gate(GateState.RAMPING, ramp=RAMP), LOOK, seen(), (), policy, NOW, gone)
    assert (wider, end) == (None, None)
    assert after.ramp is not None
    assert after.ramp.held == gone.what
    silent = replace(seen(requests=0.0), silence=Silence(90.0, 40.0))
    _, _, end = on_look(gate(GateState.RAMPING, ramp=RAMP), LOOK, silent, (), policy, NOW, gone)
    assert end is not None
    assert end.silent


HALF = "the candidate has 50 % of the requests at a weight of 100 %: the traffic does not follow"
BY_HAND = Departed("HAProxy gives g1 the weight 0 and not 100", is_forgotten=False)


@pytest.mark.parametrize(("requests", "gone", "why"), [(1000.0, BY_HAND, BY_HAND.what), (500.0, None, HALF)])
@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.INCONCLUSIVE])
def test_traffic_that_has_left_a_full_ramp_makes_no_pass(
    requests: float, gone: Departed | None, why: str, verdict: Verdict
) -> None:
    """What follows a pass may take the old version away, which has the traffic by somebody's hand: a lenient policy
    takes nothing for a pass then either. It waits for the traffic until its time is over, and goes back."""
    lenient = spec(
        {"on_ramp": ["shift"], "on_pass": ["retire"]},
        criteria=COMPARE,
        ramp={"budget": 300},
        observe={"min": "1m", "max": "5m"},
        inconclusive="pass",
    )
    full = replace(RAMP, weight=1.0, full_at=NOW - timedelta(minutes=2))
    before = replace(gate(GateState.OBSERVING, ramp=full), decides_by=NOW + timedelta(minutes=3))

    def step_at(moment: datetime, standing: Standing, requests: float = requests, gone: Departed | None = gone) -> Step:
        sighting = replace(seen(), requests=requests, total=1000.0)
        return on_ramp_look(before, standing, (), sighting, (), lenient, moment, gone=gone)

    decided = replace(LOOK, verdict=verdict, reason=Reason.PROVEN_SAFE)
    as_ordered = step_at(NOW, decided, 1000.0, None)
    assert as_ordered.gate.decision is not None
    assert (Occasion.PASS, "retire") in as_ordered.orders
    if verdict is Verdict.PASS:
        waiting = step_at(NOW, decided)
        assert (waiting.gate.decision, waiting.gate.state, waiting.orders) == (None, GateState.OBSERVING, ())
        assert waiting.gate.ramp is not None
        assert waiting.gate.ramp.held.startswith(why)
        assert waiting.gate.ramp.held_since == NOW
    late = step_at(NOW if verdict is Verdict.INCONCLUSIVE else before.decides_by, decided)
    assert late.gate.decision is not None
    assert (late.gate.decision.verdict, late.gate.decision.counts_as) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
    assert f"The traffic does not go as the ramp ordered: {why}" in late.gate.decision.sentence
    assert Occasion.PASS not in {occasion for occasion, _ in late.orders}
    harm = replace(LOOK, verdict=Verdict.FAIL, reason=Reason.HARM)
    assert step_at(NOW, harm).gate.decision == step_at(NOW, harm, 1000.0, None).gate.decision


def test_a_full_ramp_whose_weight_was_set_again_is_done_once_its_action_is() -> None:
    """The next loss is looked for again from then on."""
    policy = spec({"on_ramp": ["shift"]}, criteria=COMPARE, ramp={"budget": 300})
    full = replace(RAMP, weight=1.0, full_at=NOW, done_at=None)
    done = run(OrderState.SEEN, action="shift", finished_at=NOW)
    after, _, _ = on_look(gate(GateState.OBSERVING, ramp=full), LOOK, seen(requests=1000.0), (done,), policy, NOW)
    assert after.ramp is not None
    assert after.ramp.done_at == LOOK.at
