"""An action whose variables are unset: the daemon runs, and no gate starts that could not be rolled back."""

from datetime import UTC, datetime

import pytest

from healthd.config.file import ConfigError, parse
from healthd.runtime.clock import SystemClock
from healthd_gates.actions.contract import ActionRequest, Ending
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.engine.spec import action_arms
from healthd_gates.engine.validation import validate

FILE = """
services: {api: {source: {kind: push}, on_fail: [back]}}
actions: {back: {kind: webhook, url: "${BACK_URL}", timeout: TIMEOUT}}
"""
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def read(timeout: str = "3s") -> Config:
    return parse(FILE.replace("TIMEOUT", timeout), "healthd.yaml", Config, {})


def received(rollback: str) -> Gate:
    asked = VerifyRequest.model_validate({"service": "api", "candidate": {"version": "2"}, "rollback": rollback})
    return validate(asked, read(), caller="ci", key=None, replica="here", moment=NOW)[0].gate


def test_a_gate_that_could_not_be_rolled_back_is_refused() -> None:
    """It names the variable; without rollback it starts."""
    with pytest.raises(InvalidRequest, match="action back: not set: BACK_URL"):
        received("auto")
    assert received("off").service == "api"


def test_its_other_options_are_looked_at_all_the_same() -> None:
    """A mistake must not wait for the day on which the variable is set."""
    with pytest.raises(ConfigError, match=r"actions\.back\.timeout"):
        read(timeout="soon")
    assert read().actions["back"].timeout == 3.0


async def test_gates_that_began_before_try_it_again() -> None:
    """The variable may be set in time; until then every try says what is missing."""
    attempts, gate = Attempts(SystemClock(), str, {}), received("off")
    arms = action_arms("api", None, Version(version="2"), None)
    order, action = ActionRequest("k", "back", Occasion.FAIL, gate, arms), read().actions["back"]
    outcome = await attempts.execute(action, order)
    assert (outcome.ending, outcome.detail) == (Ending.RETRY, "not set: BACK_URL")
    assert await attempts.describe(action, order) == "nothing: not set: BACK_URL"
