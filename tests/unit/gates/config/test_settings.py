"""The gate's part of the configuration as a whole: names that must fit each other."""

from typing import Any

import pytest
from pydantic import ValidationError

from healthd.config.file import ConfigError, parse
from healthd_gates.config.settings import Config

SOURCE = {"kind": "push"}
SERVICE: dict[str, Any] = {"source": {"kind": "prometheus", "url": "http://p", "requests": "r", "errors": "e"}}


def _flagger(**more: str) -> dict[str, Any]:
    return {"hooks": {"f": {"kind": "flagger", "canaries": {"a/b": {"service": "x", **more}}}}}


def _source(**more: str) -> dict[str, Any]:
    counts = {"requests": "sum:a{*}.as_count()", "errors": "sum:b{*}.as_count()"}
    return {
        "services": {"api": {"source": {"kind": "datadog", "api_key": "k", "application_key": "k", **counts, **more}}}
    }


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"services": {"api": {}}}, "source is missing: policy post-switch"),
        ({"services": {"api": {**SERVICE, "policy": "none"}}}, "not under policies; there are: analysis, batch"),
        ({"services": {"api": {"policy": "smoke"}}}, "targets is missing: policy smoke"),
        ({"services": {"api": {**SERVICE, "on_fail": ["back"]}}}, "not under actions"),
        ({"services": {"api": {**SERVICE, "targets": {"blue": "10.0.0.1:3000"}}}}, "pattern"),
        ({"services": {"api": {**SERVICE, "targets": {"blue": "http://x/?a=1"}}}}, "pattern"),
        ({"services": {"a b": SERVICE}}, "pattern"),
        ({"policies": {"smoke": {"on_pass": ["page"]}}}, "on_pass names 'page'"),
        (
            {"policies": {"own": {"criteria": [{"kind": "checks", "group": "core"}]}}},
            "group names 'core', which is not under",
        ),
        (
            {"policies": {"own": {"criteria": [{"kind": "checks", "checks": ["db"]}]}}},
            "checks names 'db', which is not under",
        ),
        ({"actions": {"back": {"kind": "teleport"}}}, "no kind of action is called 'teleport'"),
        ({"actions": {"back": {}}}, "an action needs a kind"),
        ({"freeze": [{"cron": "0 17 * * FRI", "reason": "x"}]}, "either cron and for, or from and to"),
        ({"freeze": [{"cron": "0 17 * * FRI", "for": "2h", "reason": "x", "services": ["web"]}]}, "not under services"),
        ({"hooks": {"f": {"kind": "gong"}}}, "no kind of hook is called 'gong'; there are: argo_rollouts"),
        ({"hooks": {"f": {"kind": "flagger", "canaries": {}}}}, "at least 1"),
        ({"hooks": {"f": {"kind": "flagger", "canaries": {"api": {"service": "api"}}}}}, "pattern"),
        ({"hooks": {"f": {"kind": "flagger", "canaries": {"a/b": {"service": "x"}}}}}, "'x', which is not under serv"),
        ({"services": {"x": {"source": SOURCE}}, **_flagger(policy="none")}, "'none', which is not under policies"),
        ({"services": {"x": {"source": SOURCE}}, **_flagger(preflight="none")}, "'none', which is not under policies"),
        ({"services": {"x": {"source": SOURCE}}, **_flagger(preflight="canary")}, "give it quarantine: false"),
        ({"gates": {"lease_duration": "1s"}}, "lease"),
        ({"journal": "mysql://x/y"}, "write sqlite:///"),
        (_source(api_key=""), "api_key\n.*is empty"),
        (_source(application_key="  "), "application_key\n.*is empty"),
        (_source(api_key="abc\n"), "api_key\n.*is not an API key"),
        (_source(site="datadoghq.xx"), "site: Datadog has no datadoghq.xx; .*Did you mean datadoghq"),
        (_source(bearer=""), "bearer\n.*is empty"),
        ({"notifiers": {"grafana": {"kind": "grafana", "url": "http://g", "token": ""}}}, "token\n.*is empty"),
        ({"notifiers": {"pager": {"kind": "pagerduty", "routing_key": ""}}}, "routing_key\n.*is empty"),
        ({"notifiers": {"hook": {"kind": "webhook", "url": "http://h/x", "token": ""}}}, "token\n.*is empty"),
    ],
)
def test_what_is_wrong_is_refused_and_named(raw: dict[str, Any], message: str) -> None:
    """The message says which key and what it may be."""
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(raw)


def test_a_problem_is_told_with_its_line() -> None:
    """Where the service is, not where the file begins."""
    text = "services:\n  api:\n    policy: smoke\n  web:\n    policy: none\n"
    with pytest.raises(ConfigError) as refused:
        parse(text, "f.yaml", Config, {})
    assert [str(problem).split(": ")[:2] for problem in refused.value.problems] == [
        ["f.yaml:2", "services.api"],
        ["f.yaml:4", "services.web"],
    ]


def test_two_lines_are_a_configuration() -> None:
    """Everything has a default that serves."""
    config = Config.model_validate({"services": {"api": SERVICE}})
    assert config.services["api"].policy == "post-switch"
    assert Config.model_validate({}).services == {}


def test_a_target_has_one_address_or_several() -> None:
    """One an instance; slashes at the end are dropped."""
    targets = {"blue": "http://a:1/", "green": ["http://b:1", "http://c:1"]}
    service = Config.model_validate({"services": {"api": {**SERVICE, "targets": targets}}}).services["api"]
    assert service.addresses("blue") == ("http://a:1",)
    assert service.addresses("green") == ("http://b:1", "http://c:1")
