"""Requests for gates before they are stored: validated, spared a rollback where the version is live, and refused where
the numbers could not judge it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from healthd.runtime.clock import Clock
from healthd_gates.actions.contract import ActionRequest
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.freeze_window import FreezesServices
from healthd_gates.config.observed import arms_of, criteria_of
from healthd_gates.criteria.checks import Checks
from healthd_gates.criteria.wording import listed
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.engine.observer_factory import Pushes, source_context
from healthd_gates.engine.source_check import check_before_start
from healthd_gates.engine.spec import GateSpec, action_arms
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.engine.validation import validate
from healthd_gates.sources.endpoint import all_of
from healthd_gates.store.admission import Admission
from healthd_gates.store.gate_store import GateStore

_RECENT = 20  # gates of a service among which the last deploy is looked for


class Admissions:
    """Admissions to the journal, of gates that this replica would run."""

    def __init__(self, supervisor: Supervisor, gate_store: GateStore, clock: Clock, replica: str) -> None:
        self._supervisor, self._gate_store, self._clock, self._replica = supervisor, gate_store, clock, replica

    def validated(
        self,
        request: VerifyRequest,
        caller: str,
        freezes: Iterable[FreezesServices],
        key: str | None = None,
        joins_for: float | None = None,
    ) -> tuple[Admission, GateSpec]:
        """Return the admission that a request asks for, with its spec. Raises InvalidRequest and other refusals."""
        return validate(
            request,
            self._supervisor.config,
            caller=caller,
            key=key,
            replica=self._replica,
            moment=self._clock.now(),
            joins_for=joins_for,
            freezes=freezes,
        )

    async def spared_if_live(self, admission: Admission, spec: GateSpec) -> Admission:
        """Return the admission of a gate that only judges where its version is live, such as that of a pipeline that is
        run again: a rollback would move the traffic of a version that nothing replaced."""
        gate, request = admission.gate, admission.request
        acts = spec.actions(Occasion.FAIL) or spec.actions_on_loss()
        if request.rollback != "auto" or gate.baseline is not None or not spec.follows_switch or not acts:
            return admission
        page = await self._gate_store.page(gate.service, (), _RECENT, None)
        before = next((each for each in page.gates if self._followed_switch(each, spec)), None)
        if before is None or not before.may_stay or before.candidate != gate.candidate:
            return admission
        if gate.deployment.id is not None and gate.deployment.id == before.deployment.id:
            return admission  # another step of the same deploy
        return admission.only_judging(
            f"{gate.candidate.version} has passed gate {before.id}, and no deploy came after it: it is live, so that "
            "it is only judged, and nothing rolled back. With a baseline in the request it would be"
        )

    def _followed_switch(self, gate: Gate, spec: GateSpec) -> bool:
        """True if a gate judged a version that had been given traffic, as far as today's configuration tells."""
        policy = self._supervisor.config.policies.get(gate.policy)
        return policy is None or GateSpec(policy, spec.service, name=gate.policy).follows_switch

    async def with_checked_source(self, admission: Admission, spec: GateSpec) -> Admission:
        """Return the admission with doubts about the numbers to come. Raises InvalidRequest if none could be judged by
        them."""
        assert spec.service is not None
        gate, looks = admission.gate, self._supervisor.observer_context
        arms = arms_of(gate.service, spec.service, gate.candidate, gate.baseline)
        context = source_context(looks, spec, Pushes(self._gate_store, gate.id))
        checks = {
            source.name: check_before_start(
                source.config,
                arms,
                source.context(context),
                criteria_of(spec.policy, spec.service, source.config),
            )
            for source in spec.sources
        }
        found = await all_of(checks)  # at once: a start waits for the slowest one, not for their sum
        notes = tuple(note for each in found.values() for note in each)
        return replace(admission, gate=replace(gate, notes=(*gate.notes, *notes))) if notes else admission

    def with_failing_checks(self, admission: Admission, spec: GateSpec) -> Admission:
        """Return the admission with the daemon's own checks that would make the gate fail as things are: who asks
        beforehand wants to know."""
        board, gate = self._supervisor.observer_context.board, admission.gate
        down = [
            name
            for each in spec.policy.criteria
            if isinstance(each, Checks) and each.critical
            for name in each.down(board)
        ]
        if not down:
            return admission
        note = f"it would fail as things are now: unhealthy: {listed(list(dict.fromkeys(down)))}"
        return replace(admission, gate=replace(gate, notes=(*gate.notes, note)))

    async def refuse_hindered(
        self, admission: Admission, spec: GateSpec, attempts: Attempts, quarantined: frozenset[str]
    ) -> None:
        """Raise InvalidRequest for a gate whose actions the other side would refuse, or for nothing, while somebody is
        there to mend that. One that does not answer may do so before it is needed."""
        gate = admission.gate
        names = [*(spec.ramp_actions if spec.policy.ramp is not None else ())]
        if gate.rollback_mode == "auto":
            names += [*spec.actions(Occasion.FAIL), *spec.actions(Occasion.INCONCLUSIVE), *spec.actions_on_loss()]
        actions = {name: self._supervisor.config.actions[name] for name in names}
        arms = action_arms(gate.service, spec.service, gate.candidate, gate.baseline)
        found = await asyncio.gather(
            *(
                attempts.hindrance(action, ActionRequest(gate.id, name, Occasion.FAIL, gate, arms, quarantined))
                for name, action in actions.items()
            )
        )
        for name, hindrance in zip(actions, found, strict=True):
            if hindrance is not None:
                problem = f"action {name}: {hindrance}; until then only a gate with rollback off can start"
                raise InvalidRequest(field="service", problem=problem)
