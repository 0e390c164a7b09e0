"""A request that could never be judged, widened or rolled back is refused while somebody is there to solve it."""

from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.sources.contract import ArmError
from tests.fakes.gates import POLICY, NoteConfig, ScriptedConfig, config, replica, request

COMPARE = [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}]
POLICIES: dict[str, Any] = {
    "slow": {**POLICY, "criteria": [{"kind": "latency", "limit": "1s"}]},
    "jobs": {**POLICY, "criteria": [{"kind": "error_rate", "source": "jobs"}]},
    "wide": {**POLICY, "criteria": COMPARE, "ramp": {}},
    "asks": {**POLICY, "criteria": [{"kind": "checks", "group": "ready"}]},
}
BARE: dict[str, Any] = {"policy": "asks", "on_fail": ["back"]}


async def refused(file: Path, *, policy: str, service: dict[str, Any] | None = None, **asked: Any) -> InvalidRequest:
    quick = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ["back"]}
    checks = {"db": {"kind": "process", "critical": True}}
    services = {"services": {"api": service or quick}, "checks": checks}
    policies = {"policies": {"quick": POLICY, **POLICIES}}
    async with replica(file, config(**services, **policies)) as running:
        with pytest.raises(InvalidRequest) as refusal:
            await running.keeper.start(request(policy=policy, **asked), caller="ci")
        return refusal.value


@pytest.mark.parametrize(
    ("policy", "asked", "why"),
    [
        ("jobs", {}, "jobs: criterion error_rate: source names 'jobs'"),
        ("wide", {"rollback": "off"}, "leave rollback at auto"),
        ("wide", {}, "wide has a ramp, and api has no on_ramp"),
        ("wide", {}, "policy wide compares with the version beside it: name that one"),
    ],
)
async def test_a_policy_of_the_request_is_refused_as_one_of_the_service_is(
    file: Path, policy: str, asked: dict[str, Any], why: str
) -> None:
    """It may be another than the service's, which the configuration answers for."""
    assert why in str(await refused(file, policy=policy, **asked))


async def test_traffic_cannot_be_judged_without_a_source(file: Path) -> None:
    assert "quick looks at traffic, and api has no source" in str(await refused(file, policy="quick", service=BARE))


async def test_latency_cannot_be_judged_where_none_is_measured(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedConfig, "measures_latency", False)
    monkeypatch.setattr(ScriptedConfig, "latency_is_missing", "histogram", raising=False)
    assert "slow has a criterion of latency" in str(await refused(file, policy="slow"))


async def test_a_ramp_cannot_be_followed_by_a_source_of_its_own_requests(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedConfig, "sees_traffic", False)
    monkeypatch.setattr("tests.fakes.gates.NoteConfig.sets_weight", property(lambda _: True))
    ramped = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ["back"], "on_ramp": ["back"]}
    assert "cannot see which version has how much" in str(await refused(file, policy="wide", service=ramped))


@pytest.mark.parametrize(("arms", "why"), [(True, "action back: it needs the label pod"), (False, "not on this host")])
async def test_a_deploy_that_could_not_be_rolled_back_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, *, arms: bool, why: str
) -> None:
    """Where the request does not say what an action needs, or this host does not have it."""

    def check(*_: object) -> None:
        if arms:
            raise ArmError("candidate.labels.pod", "it needs the label pod")

    monkeypatch.setattr(NoteConfig, "check", check)
    monkeypatch.setattr(NoteConfig, "problem_here", lambda *_: "kubectl is not on this host")
    assert why in str(await refused(file, policy="quick"))
