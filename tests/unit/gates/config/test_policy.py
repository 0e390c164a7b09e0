"""What a policy may say. Every rule has an example that breaks it."""

from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.config.settings import Config
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.engine.spec import load_spec, policy_body
from healthd_gates.judge.rules import Comparison

ERRORS = {"kind": "error_rate"}
GOOD: dict[str, Any] = {"criteria": [ERRORS]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "criteria"),
        ({"criteria": []}, "at least 1"),
        ({"criteria": [{"limit": "5%"}]}, "kind"),
        ({"criteria": [{"kind": "errors"}]}, "error_rate"),
        ({"criteria": [{**ERRORS, "limits": "5%"}]}, "Extra inputs"),
        ({"criteria": [{**ERRORS, "limit": 5}]}, "percentage"),
        ({"criteria": [{**ERRORS, "limit": "0%"}]}, "greater than 0"),
        ({"criteria": [{**ERRORS, "limit": None}]}, "something to compare"),
        ({"criteria": [ERRORS, ERRORS]}, "same name"),
        ({"criteria": [{**ERRORS, "critical": False}]}, "must be critical"),
        ({"criteria": [{**ERRORS, "weight": 0}]}, "weight"),
        ({"criteria": [{**ERRORS, "compare": {"to": "yesterday"}}]}, "concurrent"),
        ({"criteria": [{**ERRORS, "compare": {"tolerated": 0.5}}]}, "tolerated"),
        ({"criteria": [{**ERRORS, "compare": {"tolerated": 2, "harmful": 2}}]}, "more than tolerated"),
        ({"criteria": [{"kind": "latency", "quantile": 95}]}, "quantile"),
        ({"criteria": [{"kind": "latency", "limit": 5000}]}, "duration"),
        ({"criteria": [{"kind": "latency", "limit": None}]}, "something to compare"),
        ({"criteria": [{"kind": "mean_latency", "requests": 0}]}, "requests"),
        ({"criteria": [{"kind": "checks"}]}, "either a group or a list"),
        ({"criteria": [{"kind": "checks", "group": "ready", "checks": ["a"]}]}, "either a group or a list"),
        ({"criteria": [{"kind": "checks", "group": "ready", "failures": 0}]}, "failures"),
        ({"criteria": [{"kind": "smoke", "requests": []}]}, "at least 1"),
        ({"criteria": [{"kind": "smoke", "requests": [{"status": 200}]}]}, "needs one of get"),
        ({"criteria": [{"kind": "smoke", "requests": [{"get": "/a", "post": "/b"}]}]}, "needs one of get"),
        ({"criteria": [{"kind": "smoke", "requests": [{"get": "http://elsewhere/"}]}]}, "get needs a path that begins"),
        ({"criteria": [{"kind": "smoke", "requests": [{"get": "//elsewhere/"}]}]}, "starts with one slash"),
        ({"criteria": [{"kind": "smoke", "requests": [{"head": "/a b"}]}]}, "head needs a path that begins"),
        ({"criteria": [{"kind": "smoke", "requests": [{"get": "/", "status": 20}]}]}, "status"),
        (
            {"criteria": [{"kind": "smoke", "requests": [{"get": "/", "headers": {"a": "b\r"}}]}]},
            "cannot hold line breaks",
        ),
        ({**GOOD, "initial_delay": 30}, "duration"),
        ({**GOOD, "interval": "100ms"}, "greater than or equal to 1"),
        ({**GOOD, "observe": {"min": "5m", "max": "1m"}}, "not be shorter"),
        ({**GOOD, "risk": {"false_rollback": "0%"}}, "greater than 0"),
        ({**GOOD, "inconclusive": "maybe"}, "hold"),
        ({"criteria": [{"kind": "checks", "group": "ready"}], "watch": "1h"}, "criterion of traffic"),
        ({**GOOD, "group_wait": "30s"}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_refused_and_named(raw: dict[str, Any], message: str) -> None:
    """A typing error must not switch something off in silence."""
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate(raw)


def test_shipped_policies_are_what_the_documentation_says() -> None:
    """`post-switch` settles for 30 s and holds to 5 % and 5 s."""
    config = Config.model_validate({})
    assert set(config.policies) == {"post-switch", "canary", "analysis", "batch", "smoke", "preflight"}
    judged = config.policies["post-switch"].verdict_rules()
    assert judged.timing.initial_delay == 30
    assert [rule.limit for rule in judged.criteria if isinstance(rule, ErrorRate | Latency)] == [0.05, 5.0]
    assert config.policies["canary"].needs_baseline
    assert config.policies["analysis"].needs_baseline


def test_a_shipped_policy_changes_only_where_the_file_says_so() -> None:
    """`post-switch: {watch: 2h}` is still post-switch; a name of one's own starts from nothing."""
    config = Config.model_validate({"policies": {"post-switch": {"watch": "2h"}}})
    assert config.policies["post-switch"].watch == 7200
    assert config.policies["post-switch"].initial_delay == 30
    shorter = Config.model_validate({"policies": {"canary": {"observe": {"max": "5m"}}}}).policies["canary"]
    assert (shorter.observe.min, shorter.observe.max) == (45, 300)
    with pytest.raises(ValidationError, match="criteria"):
        Config.model_validate({"policies": {"own": {"watch": "2h"}}})


@pytest.mark.parametrize("name", SHIPPED)
def test_a_policy_comes_back_from_the_journal_as_it_was(name: str) -> None:
    """A gate that outlives a restart is judged by the very same rules."""
    config = Config.model_validate({})
    plan = load_spec(policy_body(config.policies[name]), name, "api", Config.model_validate({"policies": {}}))
    assert plan.policy == config.policies[name]


def test_a_policy_outlives_its_change_in_the_file() -> None:
    """The rules of a running gate do not change under it, and secrets are not kept in the journal."""
    smoke = {"kind": "smoke", "requests": [{"get": "/me", "headers": {"authorization": "hush-hush"}}]}
    before = Config.model_validate({"policies": {"own": {"criteria": [smoke], "initial_delay": "1s"}}})
    after = Config.model_validate({"policies": {"own": {"criteria": [smoke], "initial_delay": "9s"}}})
    body = policy_body(before.policies["own"])
    assert "hush" not in body
    assert load_spec(body, "own", "api", before).policy is before.policies["own"]
    changed = load_spec(body, "own", "api", after)
    assert changed.policy.initial_delay == 1
    assert changed.without_secrets


def test_a_watch_looks_at_traffic_alone() -> None:
    """A dependency that fails an hour after the switch says nothing of the candidate."""
    policy = Policy.model_validate({"criteria": [ERRORS, {"kind": "checks", "group": "ready"}], "watch": "1h"})
    assert [rule.name for rule in policy.watch_rules().criteria] == ["error_rate"]
    assert policy.watch_rules().timing.maximum == 3600


def test_a_comparison_may_stand_without_a_limit() -> None:
    """As the page on criteria writes it."""
    policy = Policy.model_validate({"criteria": [{**ERRORS, "limit": None, "compare": {"to": "concurrent"}}]})
    rule = policy.verdict_rules().criteria[0]
    assert isinstance(rule, ErrorRate)
    assert (rule.limit, rule.comparison is not None) == (None, True)


def test_comparing_with_history_is_wider() -> None:
    """Load drifts between then and now."""
    policy = Policy.model_validate({"criteria": [{**ERRORS, "compare": {"to": "history"}}]})
    rule = policy.verdict_rules().criteria[0]
    assert isinstance(rule, ErrorRate)
    assert rule.comparison == Comparison.with_history()
    assert policy.needs_history
    assert not policy.needs_baseline
