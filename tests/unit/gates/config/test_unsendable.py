"""Hooks whose tool could never send what the source of their service needs: every dialect, every kind of source."""

from pathlib import Path

import pytest

from healthd.config.file import ConfigError, parse
from healthd_gates.config.settings import Config

TARGETS = "targets: {blue: 'http://127.0.0.1:1', green: 'http://127.0.0.1:2'}"
DIALECTS = {
    "argo_rollouts": ("kind: argo_rollouts, rollouts: {shop/api: %s}", "rollouts.shop/api"),
    "codedeploy": ("kind: codedeploy, services: {api: %s}", "services.api"),
    "datadog": ("kind: datadog, gates: {api/prod: %s}", "gates.api/prod"),
    "ecs": ("kind: ecs, services: {main/api: {POST_SCALE_UP: %s}}", "services.main/api.POST_SCALE_UP"),
    "flagger": ("kind: flagger, canaries: {shop/api: %s}", "canaries.shop/api"),
    "github": (
        "kind: github, secret: at-least-sixteen-characters, token: t, rules: [{environment: x, service: own}, %s]",
        "rules.1",
    ),
    "spinnaker": ("kind: spinnaker, stages: {api-production: %s}", "stages.api-production"),
}
SOURCES = {
    "scrape": "{kind: scrape, requests: r, errors: e}",
    "probe": "{kind: probe, requests: [{get: /}], rate: 5}",
    "http": "{kind: http, url: /stats, requests: a, errors: b}",
    "access_log": "{kind: access_log, file: /x, format: nginx_json, arms_by: upstream_addr}",
    "prometheus": "{kind: prometheus, url: 'http://p', requests: 'r{t=\"$target\"}', errors: 'e{t=\"$target\"}'}",
    "sql": "{kind: sql, uri: 'postgresql://u@h/d', requests: SELECT 1 WHERE t = $target, errors: SELECT 0}",
    "otlp": "{kind: otlp, signal: metrics, resource: {service.name: a, deployment: $target}}",
    "cloudwatch": "{kind: cloudwatch, load_balancer: app/lb/1, target_groups: {blue: targetgroup/b/1, "
    "green: targetgroup/g/2}}",
}
POLICY = "policies:\n  errors: {criteria: [{kind: error_rate, limit: 1%}], inconclusive: fail}\n"


def problems(hook: str, source: str, deploys: str, more: str = "", before: str = "") -> list[tuple[str, str]]:
    text = (
        f"environment: development\n{before}{POLICY}{more}services:\n"
        f"  own: {{source: {{kind: push}}, policy: errors}}\n"
        f"  api:\n    {TARGETS}\n    policy: errors\n    source: {source}\nhooks:\n  tool: {{{hook % deploys}}}\n"
    )
    try:
        parse(text, "x.yaml", Config, {})
    except ConfigError as error:
        return [(problem.key, problem.message) for problem in error.problems]
    return []


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_target_that_nobody_sends_is_needed_here(dialect: str, kind: str) -> None:
    """With it all is well, but for target groups that both versions have in turns: healthd asks for those."""
    hook, place = DIALECTS[dialect]
    bare, named = (problems(hook, SOURCES[kind], f"{{service: api{more}}}") for more in ("", ", target: green"))
    if kind == "cloudwatch" and dialect in ("ecs", "codedeploy"):
        assert bare == []
        [(key, problem)] = named
        assert "leave target out" in problem
    else:
        [(key, problem)] = bare
        assert (key, "is needed" in problem) == (f"hooks.tool.{place}.target", True), problem
        assert named == []


def test_a_source_that_needs_nothing_of_the_caller() -> None:
    for hook, _ in DIALECTS.values():
        assert problems(hook, "{kind: push}", "{service: api}") == []


CONCURRENT = """  compared:
    criteria: [{kind: error_rate, compare: {to: concurrent}}]
    inconclusive: fail
  smoke-test: {criteria: [{kind: smoke, requests: [{get: /}]}], quarantine: false}
"""
BY_LABEL = "{kind: prometheus, url: 'http://p', requests: 'r{app=\"$app\"}', errors: 'e{app=\"$app\"}'}"
BLIND = "{kind: prometheus, url: 'http://p', requests: r, errors: e}"


@pytest.mark.parametrize(
    ("source", "deploys", "key", "said"),
    [
        (BY_LABEL, "{service: api}", "labels", "$app"),
        (
            BY_LABEL,
            "{service: api, policy: compared, labels: {app: a}, baseline: {version: primary}}",
            "baseline.labels",
            "$app",
        ),
        (SOURCES["scrape"], "{service: api, target: gren}", "target", "Did you mean green?"),
        (
            SOURCES["scrape"],
            "{service: api, policy: compared, target: green, baseline: {version: stable}}",
            "baseline.target",
            "is needed",
        ),
        (BLIND, "{service: api, policy: compared, baseline: {version: stable}}", "baseline", "cannot be compared"),
        (BLIND, "{service: api, preflight: smoke-test}", "", "which target the version runs on"),
        (
            BY_LABEL,
            "{service: api, labels: {app: a}, after_promotion: errors, baseline: {version: p, target: blue}}",
            "baseline.labels",
            "$app",
        ),
    ],
)
def test_whatever_the_versions_lack_is_named(source: str, deploys: str, key: str, said: str) -> None:
    """Labels, the baseline's too, a second gate of the same entry, and versions that cannot be told apart."""
    [(found, problem)] = problems(DIALECTS["flagger"][0], source, deploys, CONCURRENT)
    assert said in problem
    assert found.startswith(f"hooks.tool.canaries.shop/api.{key}")


def test_a_ramp_that_may_not_take_back(tmp_path: Path) -> None:
    """Hooks leave rollbacks to their tools unless told otherwise, and every call would be refused."""
    ramp = """  gradual: {criteria: [{kind: error_rate, limit: 5%, compare: {to: concurrent}}], ramp: {budget: 500},
    on_ramp: [weigh], inconclusive: fail}
"""
    weigh = f"actions:\n  weigh: {{kind: command, argv: [{tmp_path}/weigh, $weight]}}\n"
    for dialect, (hook, _) in DIALECTS.items():
        deploys = "{service: api, policy: gradual, target: green, baseline: {version: stable, target: blue}%s}"
        [(_, problem)] = problems(hook, SOURCES["scrape"], deploys % "", ramp, weigh)
        assert "has a ramp, which takes the release back itself: add rollback: auto" in problem, dialect
        assert problems(hook, SOURCES["scrape"], deploys % ", rollback: auto", ramp, weigh) == []
