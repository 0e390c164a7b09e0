"""Validates a request against the configuration, and builds the gate that it asks for. The checks of the journal come
later."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

from healthd_gates.actions.contract import ActionConfig
from healthd_gates.config import observed
from healthd_gates.config.freeze_window import FreezesServices, frozen
from healthd_gates.config.observed import check_versions
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.config.settings import Config
from healthd_gates.config.unanswerable import unanswerable, without_latency
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.errors import Frozen, InvalidRequest, UnknownPolicy, UnknownService
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.engine import ramping, transitions
from healthd_gates.engine.commit_time import odd_commit_time
from healthd_gates.engine.foreign_addresses import foreign_addresses
from healthd_gates.engine.source_check import INSPECTION
from healthd_gates.engine.spec import GateSpec, action_arms, policy_body
from healthd_gates.engine.unread_labels import unread_labels
from healthd_gates.sources.contract import ArmError, Arms
from healthd_gates.store.admission import Admission

_SLACK = 4  # evaluations that a decision may come late, unless one look and what explains it take longer


def validate(
    request: VerifyRequest,
    config: Config,
    *,
    caller: str,
    key: str | None,
    replica: str,
    moment: datetime,
    joins_for: float | None = None,
    freezes: Iterable[FreezesServices] = (),
) -> tuple[Admission, GateSpec]:
    """Return the gate, ready to be stored, and its specification. `freezes` are windows besides those of the
    configuration. Raises UnknownService, UnknownPolicy, InvalidRequest,
    Frozen."""
    service = known_service(request.service, config)
    name = request.policy or service.policy
    policy = config.policies.get(name)
    if policy is None:
        raise UnknownPolicy(policy=name, known=config.policies)
    spec = GateSpec(policy, service, name=name)
    _refuse_all(
        partial(_check_baseline, request, name, policy),
        partial(_check_policy, service, name, policy),
        partial(_check_ramp, request, service, name, policy),
        partial(_check_allowance, request, service, name, policy),
        partial(_check_source, request, service, name, policy),
        partial(_check_arms, request, service, policy),
        partial(_check_groups, name, policy, config),
        partial(_check_actions, request, spec, config),
    )
    _check_freeze(request, config, moment, freezes)
    foreign = [*foreign_addresses(request.addresses, request.service, service)]
    timing = spec.verdict_rules.timing
    waits = timing.patience if policy.reads_traffic else 0.0
    slowest = max((source.config.timeout for source in spec.sources), default=0.0) + INSPECTION
    length = timing.initial_delay + timing.maximum + waits + max(_SLACK * timing.interval, slowest)
    gate = Gate(
        id=new_id(moment),
        service=request.service,
        policy=name,
        candidate=request.candidate,
        baseline=request.baseline,
        deployment=request.deployment,
        rollback_mode=request.rollback,
        caller=caller,
        state=GateState.AWAITING if request.awaits_switch else transitions.first_state(policy),
        created_at=moment,
        decides_by=moment
        + timedelta(seconds=length)
        + (transitions.SWITCH_PATIENCE if request.awaits_switch else timedelta()),
        rollback_window=request.rollback_window,
        awaits_switch=request.awaits_switch,
        ramp=ramping.begin(policy, moment),
        notes=(*foreign, *unread_labels(request, policy, service, config.actions), *odd_commit_time(request, moment)),
        sequence=1,
        holder=replica,
    )
    return Admission(gate, request, policy_body(policy), key, spec.follows_switch, joins_for), spec


def known_service(name: str, config: Config) -> Service:
    """Return a service by name. Raises UnknownService."""
    service = config.services.get(name)
    if service is None:
        raise UnknownService(service=name, known=config.services)
    return service


def new_id(moment: datetime) -> str:
    """Return an id that nobody can guess; ids ascend with the milliseconds of their creation."""
    return f"{int(moment.timestamp() * 1000):012x}{secrets.token_hex(10)}"


def _refuse_all(*checks: Callable[[], None]) -> None:
    """Raise one InvalidRequest for all that the checks refuse: the first of each field, for it may cause what follows
    it."""
    found: dict[str, InvalidRequest] = {}
    for check in checks:
        try:
            check()
        except InvalidRequest as refusal:
            found.setdefault(refusal.fields["field"], refusal)
    if found:
        first, *others = found.values()
        problem = "; ".join((first.fields["problem"], *(str(other).rstrip(".") for other in others)))
        raise InvalidRequest(field=first.fields["field"], problem=problem)


def _check_baseline(request: VerifyRequest, name: str, policy: Policy) -> None:
    if policy.needs_baseline and request.baseline is None:
        raise InvalidRequest(
            field="baseline", problem=f"policy {name} compares with the version beside it: name that one"
        )


def _check_policy(service: Service, name: str, policy: Policy) -> None:
    for problem in unanswerable(service, policy):
        raise InvalidRequest(field="policy", problem=f"{name}: {problem}")
    if policy.inconclusive != "pass" and (lack := without_latency(service, policy)) is not None:
        raise InvalidRequest(field="policy", problem=f"{name} {lack}")


def _check_source(request: VerifyRequest, service: Service, name: str, policy: Policy) -> None:
    if policy.needs_source and service.traffic_source is None:
        raise InvalidRequest(field="policy", problem=f"{name} looks at traffic, and {request.service} has no source")


def _check_arms(request: VerifyRequest, service: Service, policy: Policy) -> None:
    with _refusing():
        check_versions(request.service, service, policy, request.candidate, request.baseline)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what is missing of the arms into the refusal of a request."""
    try:
        yield
    except ArmError as error:
        raise InvalidRequest(field=error.field, problem=error.problem) from None


def _check_groups(name: str, policy: Policy, config: Config) -> None:
    """Refuse a checklist without a check: it would be waited for in vain, and pass nobody."""
    for criterion in policy.criteria:
        if criterion.critical and (problem := criterion.unanswerable(config.active_groups)) is not None:
            raise InvalidRequest(field="policy", problem=f"{name}: {problem}")


def _check_ramp(request: VerifyRequest, service: Service, name: str, policy: Policy) -> None:
    if policy.ramp is None:
        return
    if request.awaits_switch:
        problem = f"policy {name} moves the traffic itself: there is no switch to wait for"
        raise InvalidRequest(field="awaits_switch", problem=problem)
    if request.rollback != "auto":
        problem = f"policy {name} widens the release itself, and takes it back itself: leave rollback at auto"
        raise InvalidRequest(field="rollback", problem=problem)
    if not (service.on_ramp if policy.on_ramp is None else policy.on_ramp):
        problem = f"{name} has a ramp, and {request.service} has no on_ramp: name there the action that sets the weight"
        raise InvalidRequest(field="policy", problem=problem)
    if (source := service.traffic_source) is not None and not source.sees_traffic:
        problem = (
            f"{name} has a ramp, and the source of {request.service} sends its own requests: it cannot see which "
            "version has how much of the traffic"
        )
        raise InvalidRequest(field="policy", problem=problem)


def _check_allowance(request: VerifyRequest, service: Service, name: str, policy: Policy) -> None:
    source = service.traffic_source
    if policy.allowance is not None and source is not None and not source.sees_traffic:
        problem = (
            f"{name} has an allowance, and the source of {request.service} sends its own requests: it cannot see which "
            "version has how much of the traffic"
        )
        raise InvalidRequest(field="policy", problem=problem)


def _check_actions(request: VerifyRequest, spec: GateSpec, config: Config) -> None:
    """Refuse a deploy that could not be rolled back, while somebody is there to solve it."""
    wanted = [Occasion.PASS, *((Occasion.FAIL, Occasion.INCONCLUSIVE) if request.rollback == "auto" else ())]
    arms = action_arms(request.service, spec.service, request.candidate, request.baseline)
    for occasion in wanted:
        names = spec.actions(occasion)
        if occasion is Occasion.INCONCLUSIVE:
            names += spec.actions_on_loss()
        for name in names:
            check_action(name, config.actions[name], arms)
    for name in spec.ramp_actions if spec.policy.ramp is not None else ():
        check_action(name, config.actions[name], arms)


def check_action(name: str, action: ActionConfig, arms: Arms) -> None:
    """Check an action. Raises InvalidRequest if it could not be carried out for these arms, or not on this host."""
    try:
        action.check(arms)
    except ArmError as error:
        problem = f"action {name}: {str(error).removeprefix(f'{error.field}: ')}"
        raise InvalidRequest(field=error.field, problem=problem) from None
    if (missing := action.problem_here(os.environ)) is not None:
        problem = f"action {name}: {missing}; until then only a gate with rollback off can start"
        raise InvalidRequest(field="service", problem=problem)


def check_targets(candidate: Version, baseline: Version | None, service: Service) -> None:
    """Check that the targets exist. Raises InvalidRequest."""
    with _refusing():
        observed.check_targets(candidate, baseline, service)


def _check_freeze(request: VerifyRequest, config: Config, moment: datetime, added: Iterable[FreezesServices]) -> None:
    overridden = request.override is not None and "freeze" in request.override.of
    service = config.services.get(request.service)
    window = frozen((*config.freeze, *added), request.service, moment, service.labels if service else None)
    if window is not None and not overridden:
        raise Frozen(service=request.service, until=window[0], reason=window[1])
