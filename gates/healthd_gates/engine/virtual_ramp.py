"""One gate with a ramp in virtual time, against a balancer that does what it is told.

The steps are those of a gate (`transitions.on_ramp_look`), and its judge is the real one: what is simulated or replayed
is widened as a gate would widen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from healthd_gates.config.policy import Policy
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.ramp import Course
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Standing
from healthd_gates.engine import ramping, transitions
from healthd_gates.engine.judge_restore import retake
from healthd_gates.engine.ramp_sighting import Widening
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules


class VirtualRamp:
    """One gate, and a balancer that takes `action` seconds for each change of weight."""

    def __init__(
        self,
        spec: GateSpec,
        rules: Rules,
        history: Sequence[Evidence],
        start: datetime,
        action: float,
        earlier: Sequence[Evidence] = (),
    ) -> None:
        self._spec, self._rules, self._earlier = spec, rules, earlier
        self._start, self._action = start, action
        self._taken: list[Evidence] = []
        self._know(history)
        self._weights = [(0.0, 0.0)]
        self._orders: list[ActionRun] = []
        self.elapsed = 0.0
        self.gate = _gate(spec.policy, start)

    @property
    def weights(self) -> tuple[tuple[float, float], ...]:
        """Times from which each weight was in force, in seconds after the start, with the weight."""
        return tuple(self._weights[1:])

    @property
    def full_after(self) -> float | None:
        """Seconds until the candidate was seen to have all of the traffic, None before."""
        full = self.gate.ramp.full_at if self.gate.ramp is not None else None
        return (full - self._start).total_seconds() if full is not None else None

    def share(self, seconds: float) -> float:
        """Return the mean weight in force in the seconds to come, unless another one is ordered meanwhile."""
        since, until, total = self.elapsed, self.elapsed + seconds, 0.0
        for place, (at, weight) in enumerate(self._weights):
            end = self._weights[place + 1][0] if place + 1 < len(self._weights) else until
            total += weight * max(0.0, min(end, until) - max(at, since))
        return total / seconds

    @property
    def course(self) -> Course:
        """Course of the ramp."""
        assert self.gate.ramp is not None
        return self.gate.ramp.course

    def learn(self, history: Sequence[Evidence]) -> None:
        """Judge what was seen once more, with the baseline's numbers from before."""
        full_at = self.gate.ramp.full_at if self.gate.ramp is not None else None
        self._know(history)
        for evidence in self._taken:
            retake(evidence, self._judge, self._widening, full_at, self._spec)

    def look(self, evidence: Evidence) -> Standing:
        """Take the next look, and decide or widen as a gate does."""
        return self._step(evidence, self._take(evidence), self._done_by(evidence.at))

    def look_again(self, evidence: Evidence, then: Course | None) -> Standing:
        """Take a look that a gate took whose ramp went the same way so far, and was at `then` after it: the change of
        weight that is under way is done if it was done by then, and the ramp is paused if it was. Without `then` the
        look was one of several that were judged as one."""
        standing = self._take(evidence)
        ramp = self.gate.ramp
        if then is None or ramp is None:
            return standing
        if (ramp.pause is None) != (then.pause is None):
            self.gate = replace(self.gate, ramp=replace(ramp, pause=then.pause))
        if then.step == ramp.step + 1 and then.weight == ramp.weight:  # the balancer had lost it
            again = replace(ramp, step=then.step, since=evidence.at, done_at=None, pause=then.pause)
            self.gate, ramp = replace(self.gate, ramp=again), again
        done = then.is_done or then.step > ramp.step
        if ramp.is_under_way:
            at = self.elapsed if done else max(self.elapsed, self._weights[-1][0])
            self._weights[-1] = (at, ramp.weight)
        took = timedelta(seconds=then.action_seconds or 0.0)
        state = OrderState.DONE if done else OrderState.DUE
        orders = [replace(order, state=state, finished_at=order.created_at + took) for order in self._orders]
        return self._step(evidence, standing, orders)

    def _know(self, history: Sequence[Evidence]) -> None:
        self._judge = Judge(self._rules, history, (), self._earlier)
        self._widening = Widening(self._spec.policy, self._rules, history)

    def _take(self, evidence: Evidence) -> Standing:
        self._taken.append(evidence)
        self.elapsed += evidence.seconds
        self._widening.take(evidence)
        return self._judge.step(evidence)

    def _step(self, evidence: Evidence, standing: Standing, orders: Sequence[ActionRun]) -> Standing:
        assert self.gate.ramp is not None
        seen = self._widening.look(self.gate.ramp)
        step = transitions.on_ramp_look(self.gate, standing, (), seen, orders, self._spec, evidence.at)
        if ramping.is_filled_by(self.gate, step):
            self._judge.end_within(self._spec.policy.observe.max)
        self._order(step.gate, evidence.at)
        self.gate = self._answered(step.gate, evidence.at)
        return self.gate.standing or standing

    def _order(self, gate: Gate, moment: datetime) -> None:
        ramp = gate.ramp
        if ramp is None or ramp.weight == self._weights[-1][1]:
            return
        self._weights.append((self.elapsed + self._action, ramp.weight))
        key, done = f"{gate.id}:{ramp.purpose}:shift", moment + timedelta(seconds=self._action)
        due = (OrderState.DUE, moment, moment, 0, "", 1)
        self._orders = [ActionRun(key, gate.id, 0, "shift", Occasion.RAMP, *due, finished_at=done, weight=ramp.weight)]

    def _done_by(self, moment: datetime) -> list[ActionRun]:
        return [
            replace(order, state=OrderState.DONE)
            if order.finished_at and order.finished_at <= moment
            else replace(order, finished_at=None)
            for order in self._orders
        ]

    def _answered(self, gate: Gate, moment: datetime) -> Gate:
        """Return a gate that waits for a person as one whose time to decide is over."""
        if gate.state is not GateState.HELD:
            return gate
        return transitions.on_hold_timeout(gate, self._spec, moment).gate


def unpaused(policy: Policy) -> Policy:
    """Return a policy whose ramp asks nobody: people let it go on at once."""
    assert policy.ramp is not None
    return policy.model_copy(update={"ramp": policy.ramp.model_copy(update={"pause_before": ()})})


def _gate(policy: Policy, start: datetime) -> Gate:
    """Return the gate of a release that begins now."""
    state = GateState.SETTLING if policy.initial_delay else GateState.RAMPING
    timing = policy.verdict_rules().timing
    return Gate(
        id="virtual",
        service="virtual",
        policy="virtual",
        candidate=Version(version="candidate"),
        baseline=Version(version="baseline"),
        deployment=Deployment(),
        rollback_mode="auto",
        caller="virtual",
        state=state,
        created_at=start,
        decides_by=start + timedelta(seconds=timing.initial_delay + timing.maximum),
        ramp=ramping.begin(policy, start),
    )
