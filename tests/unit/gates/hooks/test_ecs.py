"""ECS lifecycle hooks: what is judged, what is not, and what ECS is told."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.config.hooks.ecs import Stage
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import Verdict
from healthd_gates.hooks.ecs import HookStatus, LifecycleEvent, answer_on, answer_to
from tests.fakes.gate_states import DECIDED, PASSED, ROLLBACK, RUNNING

GREEN = "arn:aws:ecs:us-west-2:123456789012:service-revision/main/api/9313423515462893900"
BLUE = "arn:aws:ecs:us-west-2:123456789012:service-revision/main/api/1920498462936580504"
SHIFTED = {GREEN: 100, BLUE: 0}
SHIFTED_BACK = {GREEN: 0, BLUE: 100}


def sent(
    stage: str, production: dict[str, float] | None = None, test: dict[str, float] | None = None
) -> dict[str, Any]:
    """As ECS sends it."""
    return {
        "executionId": "f4fcae0f-9bec-41c6-ba87-0eaa0cef8af5",
        "lifecycleStage": stage,
        "resourceArn": "arn:aws:ecs:us-west-2:123456789012:service-deployment/main/api/EZe5RNVLH6PPzHXINuP28",
        "executionDetails": {
            "serviceArn": "arn:aws:ecs:us-west-2:123456789012:service/main/api",
            "targetServiceRevisionArn": GREEN,
            "testTrafficWeights": test or {},
            "productionTrafficWeights": production or {},
        },
    }


def event(stage: str, **weights: Any) -> LifecycleEvent:
    return LifecycleEvent.model_validate_json(json.dumps(sent(stage, **weights)), strict=True)


@pytest.mark.parametrize(
    ("stage", "weights", "goes_back"),
    [
        ("PRODUCTION_TRAFFIC_SHIFT", {"production": SHIFTED}, False),
        ("PRODUCTION_TRAFFIC_SHIFT", {"production": {GREEN: 10, BLUE: 90}}, False),
        ("PRODUCTION_TRAFFIC_SHIFT", {"production": SHIFTED_BACK}, True),
        ("PRODUCTION_TRAFFIC_SHIFT", {"production": {BLUE: 100}}, True),
        ("PRODUCTION_TRAFFIC_SHIFT", {}, False),
        ("TEST_TRAFFIC_SHIFT", {"test": SHIFTED}, False),
        ("TEST_TRAFFIC_SHIFT", {"test": SHIFTED_BACK}, True),
        ("TEST_TRAFFIC_SHIFT", {"test": SHIFTED, "production": SHIFTED_BACK}, False),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT", {"production": SHIFTED_BACK}, False),
        ("POST_PRODUCTION_TRAFFIC_SHIFT", {}, False),
        ("POST_SCALE_UP", {}, False),
    ],
)
def test_only_a_shift_that_leaves_the_new_revision_nothing_is_a_rollback(
    stage: str, weights: Any, goes_back: bool
) -> None:
    """Before the first shift the new revision has nothing either: that is no rollback."""
    assert event(stage, **weights).goes_back is goes_back


def test_an_event_says_what_is_deployed_where() -> None:
    """By the tails of its ARNs."""
    seen = event("POST_PRODUCTION_TRAFFIC_SHIFT")
    assert (seen.service, seen.version) == ("main/api", "9313423515462893900")


def test_a_gate_is_for_one_stage_of_one_deployment_and_one_step_of_its_traffic() -> None:
    """Whatever the id of the execution is; ECS asks again about the same."""
    asked = event("PRODUCTION_TRAFFIC_SHIFT", production=SHIFTED)
    again = asked.model_copy(update={"execution": "another", "hook_details": {"healthdGate": "g1"}})
    assert asked.run == again.run == "EZe5RNVLH6PPzHXINuP28.PRODUCTION_TRAFFIC_SHIFT.100"
    others = {event(stage).run for stage in Stage} | {
        event("PRODUCTION_TRAFFIC_SHIFT", production={GREEN: weight, BLUE: 100 - weight}).run for weight in (10, 50.5)
    }
    assert len(others) == len(Stage) + 2
    assert not any(" " in run for run in others)


@pytest.mark.parametrize(
    ("gate", "status"),
    [
        (RUNNING, HookStatus.IN_PROGRESS),
        (replace(RUNNING, state=GateState.HELD), HookStatus.IN_PROGRESS),
        (replace(RUNNING, state=GateState.CANCELLED), HookStatus.FAILED),
        (PASSED, HookStatus.SUCCEEDED),
        (replace(PASSED, state=GateState.WATCHING), HookStatus.SUCCEEDED),
        (replace(PASSED, rollback=ROLLBACK), HookStatus.FAILED),
        (DECIDED["fail", Verdict.FAIL], HookStatus.FAILED),
        (DECIDED["inconclusive", Verdict.FAIL], HookStatus.FAILED),
        (DECIDED["inconclusive", Verdict.PASS], HookStatus.SUCCEEDED),
    ],
)
def test_ecs_is_told_what_follows_from_the_gate(gate: Gate, status: HookStatus) -> None:
    """A delay only where it is to ask again, and always why."""
    told = answer_on(gate).model_dump(mode="json")
    assert told["hookStatus"] == status.value
    assert ("callBackDelay" in told) == (status is HookStatus.IN_PROGRESS)
    assert told["hookDetails"]["healthdGate"] == "g1"
    assert told["hookDetails"]["healthdSays"]


def test_what_stands_in_the_way_for_a_time_is_waited_for() -> None:
    """What stands in the way for good fails the deployment."""
    busy = refusals.ServiceBusy(service="api", gate_id="g0", caller="ci", lasts="until noon")
    assert answer_to(busy).hookStatus is HookStatus.IN_PROGRESS
    assert answer_to(refusals.JournalUnavailable(problem="disk full")).hookStatus is HookStatus.IN_PROGRESS
    assert answer_to(refusals.UnknownPolicy(policy="x", known="y")).hookStatus is HookStatus.FAILED


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lifecycleStage", "LUNCH"),
        ("resourceArn", "arn:aws:s3:::bucket"),
        ("executionDetails", {"serviceArn": "x", "targetServiceRevisionArn": GREEN}),
    ],
)
def test_an_event_of_another_form_is_refused(field: str, value: Any) -> None:
    """So that the Lambda fails, and with it the deployment."""
    with pytest.raises(ValidationError, match=field):
        LifecycleEvent.model_validate({**sent("POST_SCALE_UP"), field: value})
