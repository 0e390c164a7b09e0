"""A lifecycle event hook of CodeDeploy: the Lambda that ships relays it, and the daemon tells CodeDeploy the verdict.

moto has no such call: a peer checks the form that it has in AWS's JSON protocol.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.hooks import aws_relay
from tests.integration.gates.hooks.test_ecs import COUNTED
from tests.servers.gating import Gating, gating
from tests.servers.moto import CREDENTIALS
from tests.servers.peers import Answer, Peer, Received, peer
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until

_EXECUTION = "eyJlbmNyeXB0ZWREYXRhIjoiVGVzdCIsIml2UGFyYW1ldGVyU3BlYyI6IklWIn0="
_SIGNED = r"AWS4-HMAC-SHA256 Credential=testing/\d{8}/us-east-1/codedeploy/aws4_request, SignedHeaders=.+"
_FORM = "application/x-amz-json-1.1"
_EVENTS = (  # of an ECS deployment, in this order; a deployment lists all of them from its beginning
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "AllowTestTraffic",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
)


def _events(current: str) -> list[dict[str, str]]:
    """The lifecycle events of a deployment that waits for the hook of one of them."""
    at = _EVENTS.index(current)
    states = ("Succeeded",) * at + ("InProgress",) + ("Pending",) * (len(_EVENTS) - at - 1)
    return [{"lifecycleEventName": name, "status": state} for name, state in zip(_EVENTS, states, strict=True)]


class CodeDeploy:
    """Answers on a peer. `creators` are who began a deployment, a person unless said; `told` what it was told."""

    def __init__(self, answering: Peer) -> None:
        self.url = answering.url
        self.is_down = False
        self.creators: dict[str, str] = {}
        self.told: list[tuple[str, str, str]] = []
        self.tries = 0
        self.green: str | None = None
        self.event = "AfterAllowTestTraffic"
        answering.answer("POST", "/", self._answer)

    def is_tried_after(self, tries: int) -> bool:
        return self.tries > tries

    def _answer(self, received: Received) -> Answer:
        self.tries += 1
        if self.is_down:
            return Answer(503, json={"__type": "ServiceUnavailableException"})
        assert received.headers["Content-Type"] == _FORM
        assert re.fullmatch(_SIGNED, received.headers["Authorization"])
        body = received.json()
        assert isinstance(body, dict)
        match received.headers["X-Amz-Target"]:
            case "CodeDeploy_20141006.GetDeployment":
                creator = self.creators.get(body["deploymentId"], "user")
                info = {"deploymentId": body["deploymentId"], "creator": creator, "status": "InProgress"}
                return Answer(200, json={"deploymentInfo": info})
            case "CodeDeploy_20141006.ListDeploymentTargets":
                return Answer(200, json={"targetIds": ["main:api"]})
            case "CodeDeploy_20141006.BatchGetDeploymentTargets":
                assert body["targetIds"] == ["main:api"]
                groups = {"Blue": "old", **({"Green": self.green} if self.green else {})}
                sets = [{"taskSetLabel": label, "targetGroup": {"name": name}} for label, name in groups.items()]
                target = {
                    "deploymentTargetType": "ECSTarget",
                    "ecsTarget": {"taskSetsInfo": sets, "lifecycleEvents": _events(self.event)},
                }
                return Answer(200, json={"deploymentTargets": [target]})
            case "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus":
                assert set(body) == {"deploymentId", "lifecycleEventHookExecutionId", "status"}
                if body["deploymentId"] == "d-GONE":
                    gone = {"__type": "DeploymentDoesNotExistException", "message": "The deployment does not exist."}
                    return Answer(400, json=gone)
                self.told.append((body["deploymentId"], body["lifecycleEventHookExecutionId"], body["status"]))
                execution = {"lifecycleEventHookExecutionId": body["lifecycleEventHookExecutionId"]}
                return Answer(200, json=execution)
        raise AssertionError(f"an unknown call: {received.headers['X-Amz-Target']}")


@asynccontextmanager
async def asking(folder: Path, **changes: Any) -> AsyncIterator[tuple[Gating, CodeDeploy]]:
    """A daemon, and the CodeDeploy that it tells."""
    async with peer() as answering:
        services = {
            "good": {"service": "api-0", "policy": "green"},
            "bad": {"service": "api-1", "policy": "red"},
            "good-live": {"service": "api-0", "policy": "red"},
        }
        hook = {"kind": "codedeploy", "endpoint": answering.url, "region": "us-east-1", "services": services}
        if "services" in changes:
            hook["services"] = {"api": {"service": "api"}}
        async with gating(folder, hooks={"blue-green": hook}, **changes) as api:
            yield api, CodeDeploy(answering)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws_relay, "_PAUSE", 0.0)


async def invoke(
    api: Gating, deployment: str, service: str, monkeypatch: pytest.MonkeyPatch, execution: str = _EXECUTION
) -> dict[str, Any]:
    """One invocation of the Lambda, as CodeDeploy invokes it."""
    monkeypatch.setenv("HEALTHD_HOOK", f"{api.daemon.url}/hooks/codedeploy/blue-green/{service}")
    monkeypatch.setenv("HEALTHD_TOKEN", api.tokens["hooks"])
    event = {"DeploymentId": deployment, "LifecycleEventHookExecutionId": execution}
    return await asyncio.to_thread(aws_relay.handler, event, None)


async def test_codedeploy_is_told_the_verdict_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a good version and of a bad one, and however often the Lambda is run."""
    async with asking(tmp_path) as (api, codedeploy):
        assert (await invoke(api, "d-GOOD", "good", monkeypatch))["heard"] == "accepted"
        assert (await invoke(api, "d-GOOD", "good", monkeypatch))["heard"] == "known"
        await invoke(api, "d-BAD", "bad", monkeypatch)
        await until(lambda: len(codedeploy.told) == 2, "both verdicts")
        assert sorted(codedeploy.told) == [("d-BAD", _EXECUTION, "Failed"), ("d-GOOD", _EXECUTION, "Succeeded")]
        with pytest.raises(aws_relay.Refused, match="nothing is not under"):
            await invoke(api, "d-NEW", "nothing", monkeypatch)


async def test_two_events_of_a_deployment_are_judged_by_their_own_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two Lambdas, each with an entry of its own: the pass with the test traffic is no answer for all of it."""
    async with asking(tmp_path) as (api, codedeploy):
        await invoke(api, "d-BOTH", "good", monkeypatch, "AfterAllowTestTraffic")
        await until(lambda: len(codedeploy.told) == 1, "the first verdict")
        await invoke(api, "d-BOTH", "good-live", monkeypatch, "AfterAllowTraffic")
        await until(lambda: len(codedeploy.told) == 2, "the second verdict")
        assert codedeploy.told == [
            ("d-BOTH", "AfterAllowTestTraffic", "Succeeded"),
            ("d-BOTH", "AfterAllowTraffic", "Failed"),
        ]


async def test_a_rollback_of_awss_own_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CodeDeploy's, and that of a CloudFormation stack: each is a deployment, and nothing may stand in its way."""
    async with asking(tmp_path) as (api, codedeploy):
        codedeploy.creators |= {"d-BACK": "codeDeployRollback", "d-STACK": "CloudFormationRollback"}
        for deployment in codedeploy.creators:
            await invoke(api, deployment, "bad", monkeypatch)
        await until(lambda: len(codedeploy.told) == 2, "the answers")
        assert sorted(codedeploy.told) == [(name, _EXECUTION, "Succeeded") for name in ("d-BACK", "d-STACK")]
        assert (await api.call("GET", "/gates?service=api-1")).body["gates"] == []


async def test_it_is_asked_which_target_group_has_the_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It swaps both at every deployment; the gate waits until there is one."""
    async with asking(tmp_path, services={"api": COUNTED}) as (api, codedeploy):
        for deployment, target, name in (("d-FIRST", "green", "api-2"), ("d-SECOND", "blue", "api")):
            codedeploy.green = None
            await invoke(api, deployment, "api", monkeypatch)
            await until(partial(codedeploy.is_tried_after, codedeploy.tries), "a try")
            codedeploy.green = name

            async def is_judged_at(target: str = target, version: str = deployment) -> bool:
                gates = (await api.call("GET", "/gates?service=api")).body["gates"]
                return {"version": version, "target": target, "labels": {}} in [gate["candidate"] for gate in gates]

            await until(is_judged_at, f"a gate at {target}")
            (latest, *_) = (await api.call("GET", "/gates?service=api")).body["gates"]
            assert (await api.call("POST", f"/gates/{latest['id']}/cancel", {"reason": "enough"})).status == 200


async def test_a_hook_before_there_is_a_new_version_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CodeDeploy makes the replacement's tasks after BeforeInstall: waiting for them would last until the hook fails by
    itself, after an hour."""
    async with asking(tmp_path, services={"api": COUNTED}) as (api, codedeploy):
        codedeploy.event = "BeforeInstall"
        await invoke(api, "d-EARLY", "api", monkeypatch)
        await until(lambda: bool(codedeploy.told), "the answer")
        assert codedeploy.told == [("d-EARLY", _EXECUTION, "Failed")]
        await until(lambda: "name the Lambda under AfterAllowTestTraffic" in api.daemon.log(), "the cure in the log")


async def test_a_crash_and_a_codedeploy_that_is_down_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a deployment that is gone keep it busy for ever."""
    async with asking(tmp_path) as (api, codedeploy):
        codedeploy.is_down = True
        await invoke(api, "d-GOOD", "good", monkeypatch)
        await until(lambda: codedeploy.tries > 0, "a try")
        await api.daemon.kill()
        codedeploy.is_down = False
        await api.daemon.start()
        await until(lambda: bool(codedeploy.told), "the answer")
        assert codedeploy.told == [("d-GOOD", _EXECUTION, "Succeeded")]
        await invoke(api, "d-GONE", "good", monkeypatch)
        await until(lambda: re.search(r"receipt\W+refused", api.daemon.log()) is not None, "its end")


async def test_a_healthd_out_of_reach_fails_the_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries: CodeDeploy then fails the hook when its time is over."""
    monkeypatch.setenv("HEALTHD_HOOK", f"http://{HOST}:{free_port()}/")
    monkeypatch.setenv("HEALTHD_TOKEN", "none")
    event = {"DeploymentId": "d-GOOD", "LifecycleEventHookExecutionId": _EXECUTION}
    with pytest.raises(aws_relay.Unreachable):
        await asyncio.to_thread(aws_relay.handler, event, None)
