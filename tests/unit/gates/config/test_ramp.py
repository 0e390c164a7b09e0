"""Which ramps a policy and a service may have, and what is said of the others."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.actions.command import CommandConfig
from healthd_gates.config.policy import Policy
from healthd_gates.config.ramp import Ramp
from healthd_gates.config.settings import Config
from healthd_gates.engine.spec import policy_body
from healthd_gates.judge.ramp import Pace

CANARY = {"criteria": [{"kind": "error_rate", "compare": {"to": "concurrent"}}]}
SHIFT = {"kind": "command", "argv": ["/usr/local/sbin/shift", "$candidate_target", "$weight"]}
PLAIN = {"kind": "command", "argv": ["/usr/local/sbin/shift", "$baseline_target"]}
SOURCE = {"kind": "push"}


def config(policy: dict[str, Any] | None = None, action: dict[str, Any] = SHIFT, **service: Any) -> Config:
    return Config.model_validate(
        {
            "actions": {"shift": action},
            "policies": {"wide": {"ramp": {}, **CANARY, **(policy or {})}},
            "services": {"api": {"policy": "wide", "source": SOURCE, **service}},
        }
    )


@pytest.mark.parametrize(
    ("ramp", "says"),
    [
        ({"budget": 0}, "greater than 0"),
        ({"max_step": 1}, "greater than 1"),
        ({"steps": ["5%", "1%"]}, "must grow"),
        ({"steps": ["0%", "1%"]}, "lie between 0.01%"),
        ({"steps": ["1%"], "max_step": 2}, "no meaning with fixed steps"),
        ({"steps": ["1%"], "timeout": "2h"}, "step_timeout says it"),
        ({"step_timeout": "1h"}, "no meaning without fixed steps"),
    ],
)
def test_ramps_that_mean_nothing(ramp: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Ramp.model_validate(ramp)


def test_a_budget_is_no_share() -> None:
    with pytest.raises(ValidationError, match="'1%' is a share, and this is a number of requests: write one, such as"):
        Ramp.model_validate({"budget": "1%"})
    assert Ramp.model_validate({"budget": "100"}).budget == 100


def test_what_it_says_to_the_judge() -> None:
    assert (Ramp().pace, Ramp().longest) == (Pace(4.0), 3600)
    fixed = Ramp.model_validate({"steps": ["1%", "50%"], "step_timeout": "60s"})
    assert (fixed.pace, fixed.longest) == (Pace(steps=(0.01, 0.5)), 180)
    assert Ramp.model_validate({"steps": ["1%", "100%"], "step_timeout": "60s"}).longest == 120


def test_steps_that_compare_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"begin with less, such as \[1%, 5%, 25%\]"):
        Ramp.model_validate({"steps": ["100%"]})


@pytest.mark.parametrize("ramp", [{}, {"budget": 50}, {"steps": ["1%", "50%"], "step_timeout": "60s"}])
def test_the_journals_copy_of_a_policy_is_the_same(ramp: dict[str, Any]) -> None:
    policy = Policy.model_validate({**CANARY, "ramp": ramp})
    assert Policy.model_validate(json.loads(policy_body(policy))) == policy


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"criteria": [{"kind": "error_rate"}]}, "give error_rate `compare: {to: concurrent}`"),
        ({"exposure": "all"}, "leave out `exposure: all`"),
        ({"mode": "observe"}, "nothing follows: leave one out"),
    ],
)
def test_a_policy_that_cannot_ramp(policy: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        Policy.model_validate({"ramp": {}, **CANARY, **policy})
    assert refused.value.errors()[0]["loc"] == ("ramp",)


def test_a_service_needs_an_action_that_sets_a_weight() -> None:
    assert config(on_ramp=["shift"]).services["api"].on_ramp == ("shift",)
    assert config({"on_ramp": ["shift"]}).policies["wide"].on_ramp == ("shift",)
    with pytest.raises(ValidationError, match="on_ramp is missing: policy wide has a ramp"):
        config()
    with pytest.raises(ValidationError, match=r"on_ramp names 'shift', a command that cannot .* \$weight among its"):
        config(action=PLAIN, on_ramp=["shift"])
    with pytest.raises(ValidationError, match=r"on_ramp names.*actions"):
        config(on_ramp=["shft"])


def test_a_target_that_the_service_does_not_have_is_refused_in_the_file() -> None:
    """Misspelt it would be found by the first gate."""
    weigh = {"kind": "haproxy", "sockets": ["/run/haproxy.sock"], "backend": "web"}
    targets = {"blue": "http://127.0.0.1:1", "green": "http://127.0.0.1:2"}
    servers = {"blue": ["b1"], "green": ["g1"]}
    assert config(action={**weigh, "servers": servers}, on_ramp=["shift"], targets=targets).services
    with pytest.raises(ValidationError, match=r"which has 'gren', which is not under targets; did you mean green\?"):
        config(action={**weigh, "servers": {"blue": ["b1"], "gren": ["g1"]}}, on_ramp=["shift"], targets=targets)


def test_a_source_that_sees_no_traffic_cannot_ramp() -> None:
    probe = {"kind": "probe", "requests": [{"get": "/", "status": 200}]}
    with pytest.raises(ValidationError, match="a probe source cannot see"):
        config(on_ramp=["shift"], source=probe, targets={"a": "http://127.0.0.1:1", "b": "http://127.0.0.1:2"})


def test_which_commands_set_a_weight() -> None:
    assert CommandConfig.model_validate(SHIFT).sets_weight
    assert not CommandConfig.model_validate(PLAIN).sets_weight
