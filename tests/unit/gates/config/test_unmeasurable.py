"""A policy and a source that do not fit are told before a release finds out."""

from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.config.settings import Config
from healthd_gates.config.unmeasurable import unmeasurable, unwatched

SCRAPE = {"kind": "scrape", "requests": "http_requests_total", "errors": 'http_requests_total{status=~"5.."}'}


def config(source: dict[str, Any], policy: str = "canary", **more: Any) -> Config:
    service = {"source": source, "policy": policy, "targets": {"blue": ["http://127.0.0.1:3000"]}}
    errors = {"criteria": [{"kind": "error_rate"}], "observe": {"min": "1m", "max": "5m"}}
    return Config.model_validate({"services": {"api": service}, "policies": {"errors": errors}, **more})


@pytest.mark.parametrize(
    ("source", "policy", "fits"),
    [
        (SCRAPE, "canary", False),
        ({**SCRAPE, "latency": "http_request_duration_seconds_bucket"}, "canary", True),
        (SCRAPE, "errors", True),
        ({"kind": "push"}, "canary", True),
        ({"kind": "access_log", "file": "/x"}, "canary", False),
        ({"kind": "access_log", "file": "/x"}, "errors", True),
        ({"kind": "access_log", "file": "/x", "format": "nginx_json"}, "canary", True),
    ],
)
def test_a_criterion_of_latency_needs_latencies(source: dict[str, Any], policy: str, fits: bool) -> None:
    """Where the source has to be told where they are."""
    assert (list(unmeasurable(config(source, policy))) == []) is fits


def test_what_a_hook_names_is_looked_at_too() -> None:
    """It may take another policy than the service's own."""
    canary = {"service": "api", "policy": "canary", "baseline": {"version": "primary"}}
    hook = {"kind": "flagger", "canaries": {"shop/api": canary}}
    source = {**SCRAPE, "requests": 'http_requests_total{version="$version"}'}
    [problem] = unmeasurable(config(source, "errors", hooks={"flagger": hook}))
    assert problem.startswith("services.api: policy canary has a criterion of latency")


@pytest.mark.parametrize(
    "hook",
    [
        {"kind": "argo_rollouts", "rollouts": {"shop/api": {"service": "api", "policy": "canary"}}},
        {"kind": "spinnaker", "stages": {"deploy": {"service": "api", "policy": "canary"}}},
        {"kind": "datadog", "gates": {"api/prod": {"service": "api", "policy": "canary"}}},
    ],
)
def test_a_hook_of_a_policy_that_compares_needs_a_baseline(hook: dict[str, Any]) -> None:
    """Every call would be refused."""
    with pytest.raises(ValidationError, match="names api without a baseline, and policy canary compares"):
        config({"kind": "push"}, "errors", hooks={"tool": hook})


@pytest.mark.parametrize(("name", "told"), [("versoin", "$version"), ("targets", "$target"), ("colour", None)])
def test_a_placeholder_that_is_almost_one_of_every_gate_is_told(name: str, told: str | None) -> None:
    """It may be a label; the gates that lack it would be refused one by one."""
    source = {**SCRAPE, "requests": f'http_requests_total{{version="${name}"}}'}
    notes = list(unmeasurable(config(source, "errors")))
    assert [f"did you mean {told}?" in note for note in notes] == ([True] if told else [])


LOG = {"kind": "access_log", "file": "/x", "format": "nginx_json"}
COMPARED = {"kind": "latency", "compare": {"to": "history"}}


@pytest.mark.parametrize(
    ("source", "criterion", "told"),
    [
        ({**LOG, "edges": ["5s"]}, {**COMPARED, "limit": "5s"}, "everything up to 5s is in one bucket, in which sev"),
        ({**LOG, "edges": ["1s"]}, {**COMPARED, "limit": "5s"}, None),  # the limit is looked at closer
        ({**LOG, "edges": ["2s"]}, {**COMPARED, "limit": None}, "everything up to 2s is in one bucket"),
        ({**LOG, "edges": []}, {**COMPARED, "limit": None}, "everything is in one bucket"),
        ({**LOG, "edges": ["50ms", "1s"]}, COMPARED, None),
        ({**LOG, "edges": ["5s"]}, {"kind": "latency", "limit": "5s"}, None),
        (LOG, COMPARED, None),
        ({"kind": "push"}, COMPARED, None),
    ],
)
def test_buckets_that_hide_a_comparison_are_told(
    source: dict[str, Any], criterion: dict[str, Any], told: str | None
) -> None:
    """With the cure, before a gate starts, where the source says itself what it counts at."""
    observe = {"min": "1m", "max": "5m"}
    judged = {"policies": {"errors": {"criteria": [{"kind": "error_rate"}, criterion], "observe": observe}}}
    notes = list(unmeasurable(config(source, "errors", **judged)))
    assert len(notes) == (told is not None)
    for note in notes:
        assert note.startswith("services.api: policy errors: criterion latency compares latencies, and ")
        assert told is not None
        assert told in note
        assert note.endswith(": name lower latencies in `edges`, such as [50ms, 100ms, 250ms, 500ms, 1s]")


def test_a_check_of_the_configuration_tells_it() -> None:
    """As a note: the rest of the configuration is fine."""
    assert any("policy canary" in note for note in config(SCRAPE).notes)


@pytest.mark.parametrize(
    ("kind", "entries", "selector", "watch", "told"),
    [
        ("argo_rollouts", "rollouts", 'role="$role"', "10m", True),
        ("argo_rollouts", "rollouts", 'hash="$version"', "10m", False),
        ("argo_rollouts", "rollouts", 'role="$role"', "0s", False),
        ("flagger", "canaries", 'role="$role"', "10m", False),
    ],
)
def test_a_watch_that_ends_in_a_pause_of_the_rollout_is_told(
    kind: str, entries: str, selector: str, watch: str, *, told: bool
) -> None:
    """With the cure. Flagger asks as long as its rollout lasts."""
    hook = {"kind": kind, entries: {"shop/api": {"service": "api", "policy": "late", "labels": {"role": "canary"}}}}
    late = {"criteria": [{"kind": "error_rate"}], "observe": {"min": "1m", "max": "5m"}, "watch": watch}
    source = {**SCRAPE, "requests": f"requests{{{selector}}}", "errors": f"errors{{{selector}}}"}
    found = config(source, "late", hooks={"argo": hook}, policies={"late": late})
    notes = [note for note in found.notes if "$version" in note]
    assert (notes, bool(notes)) == (list(unwatched(found)), told)
    assert all(note.startswith("hooks.argo.rollouts.shop/api: the watch ends") for note in notes)
