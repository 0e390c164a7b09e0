"""Tests an action before a deploy depends on it: the daemon checks it, or carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthd_gates.actions.contract import ActionRequest, Ending
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.errors import UnknownAction
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import ActionTest, Deployment
from healthd_gates.engine.spec import action_arms
from healthd_gates.engine.validation import check_action, check_targets, known_service, new_id


@dataclass(frozen=True, slots=True)
class Tested:
    """Result of a test. `ok`: it was done, or nothing is known to prevent it. `ending` is that of an attempt, if there
    was one."""

    kind: str
    ok: bool
    detail: str
    ending: Ending | None = None


async def try_out(
    action: str, asked: ActionTest, config: Config, attempts: Attempts, caller: str, moment: datetime
) -> Tested:
    """Return what an action would do, or the result of an attempt.

    Raises UnknownAction, UnknownService, and InvalidRequest if the action could not be carried out for these arms.
    """
    configured = config.actions.get(action)
    if configured is None:
        raise UnknownAction(action=action, known=config.actions)
    service = known_service(asked.service, config)
    check_targets(asked.candidate, asked.baseline, service)
    arms = action_arms(asked.service, service, asked.candidate, asked.baseline)
    check_action(action, configured, arms)
    gate = Gate(
        id=new_id(moment),
        service=asked.service,
        policy=service.policy,
        candidate=asked.candidate,
        baseline=asked.baseline,
        deployment=Deployment(id="test of an action", actor=caller),
        rollback_mode="off",
        caller=caller,
        state=GateState.FINISHED,
        created_at=moment,
        decides_by=moment,
    )
    order = ActionRequest(f"{gate.id}:test:{action}", action, Occasion.PERSON, gate, arms)
    if asked.run:
        outcome = await attempts.execute(configured, order)
        return Tested(configured.kind, outcome.ending is Ending.DONE, outcome.detail, outcome.ending)
    able, would = await attempts.look(configured, order)
    tested = await attempts.test(configured, action) if able else None
    if tested is None:
        return Tested(configured.kind, able, would)
    return Tested(configured.kind, tested.ending is Ending.DONE, f"{would}: {tested.detail}")
