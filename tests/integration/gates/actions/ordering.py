"""Orders for actions, and one try of an action as the carrier makes it."""

from datetime import UTC, datetime
from typing import Any

from healthd.runtime.clock import Clock, SystemClock
from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates import actions
from healthd_gates.actions.contract import ActionConfig, ActionRequest, ActionResult, Departed
from healthd_gates.actions.executor import Attempts
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import Decision, Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.sources.contract import Arm, Arms

MOMENT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def order(
    candidate: Version | None = None,
    baseline: Version | None = None,
    *,
    key: str = "0123:rollback:back",
    occasion: Occasion = Occasion.FAIL,
) -> ActionRequest:
    """A rollback of `api` 2.0 on green to 1.0 on blue."""
    candidate = candidate or Version(version="2.0", target="green")
    baseline = baseline or Version(version="1.0", target="blue")
    gate = Gate(
        id=key.split(":")[0],
        service="api",
        policy="quick",
        candidate=candidate,
        baseline=baseline,
        deployment=Deployment(id="run-7", actor="ann"),
        rollback_mode="auto",
        caller="ci",
        state=GateState.ACTING,
        created_at=MOMENT,
        decides_by=MOMENT,
        decision=Decision(Verdict.FAIL, Verdict.FAIL, "harm", "Too many errors.", MOMENT),
        rollback=Rollback(RollbackState.DUE, "decision", "Too many errors.", MOMENT),
    )
    arms = Arms("api", arm(candidate), arm(baseline))
    return ActionRequest(key, "back", occasion, gate, arms)


def arm(version: Version) -> Arm:
    return Arm(version.version, version.labels, version.target)


def configured(**raw: Any) -> ActionConfig:
    """The validated configuration of an action."""
    return actions.find_kind(raw["kind"]).config_model.model_validate(raw)


class Hurried(SystemClock):
    """A clock on which half a minute passes between any two looks at it: a try has no time to wait."""

    def __init__(self) -> None:
        self._now = 0.0

    def steady(self) -> float:
        self._now += 30.0
        return self._now


async def tried(
    config: ActionConfig, ordered: ActionRequest, environ: dict[str, str] | None = None, clock: Clock | None = None
) -> ActionResult:
    """One try."""
    return await _attempts(config, environ, clock).execute(config, ordered)


async def described(config: ActionConfig, ordered: ActionRequest) -> str:
    """What a try would do."""
    return await _attempts(config, None).describe(config, ordered)


async def lost(
    config: ActionConfig, ordered: ActionRequest, ago: float, right: dict[str, float] | None = None
) -> Departed | None:
    """What a look finds at an order that was done so many seconds ago; `right` is what earlier looks kept."""
    return await _attempts(config, None).departed(config, ordered, ago, {} if right is None else right)


async def examined(config: ActionConfig) -> ActionResult:
    """What a test of it comes to."""
    outcome = await _attempts(config, None).test(config, "back")
    assert outcome is not None
    return outcome


def _attempts(config: ActionConfig, environ: dict[str, str] | None, clock: Clock | None = None) -> Attempts:
    return Attempts(clock or SystemClock(), Redactor(secrets_of(config)), environ or {})
