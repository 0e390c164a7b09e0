"""A lifecycle hook of ECS: the Lambda that ships, called as ECS calls it, asks a real daemon."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deploy.hooks import aws_relay
from tests.servers.gating import Gating, gating
from tests.servers.moto import CREDENTIALS
from tests.servers.peers import Answer, Received, peer
from tests.servers.ports import HOST, free_port

GREEN, BLUE = "9313423515462893900", "1920498462936580504"


def event(service: str, stage: str, deployment: str = "EZe5RNVLH6PPzHXINuP28", weight: int | None = None) -> Any:
    """As ECS sends it."""
    arn = "arn:aws:ecs:us-west-2:123456789012"
    weights = {} if weight is None else {GREEN: weight, BLUE: 100 - weight}
    return {
        "executionId": "e8d5a28f-eb01-4f3c-9454-a30ba6dc54bc",
        "lifecycleStage": stage,
        "resourceArn": f"{arn}:service-deployment/main/{service}/{deployment}",
        "executionDetails": {
            "serviceArn": f"{arn}:service/main/{service}",
            "targetServiceRevisionArn": f"{arn}:service-revision/main/{service}/{GREEN}",
            "testTrafficWeights": {},
            "productionTrafficWeights": {
                f"{arn}:service-revision/main/{service}/{revision}": share for revision, share in weights.items()
            },
        },
    }


async def invoke(asked: dict[str, Any]) -> dict[str, Any]:
    """One invocation of the Lambda."""
    return await asyncio.to_thread(aws_relay.handler, asked, None)


async def run(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """All answers of a hook, called again as ECS does while it is in progress: with what it said put together."""
    answers = [await invoke(asked)]
    async with asyncio.timeout(60):
        while answers[-1]["hookStatus"] == "IN_PROGRESS":
            assert 0 < answers[-1]["callBackDelay"] <= 60
            asked = {**asked, "hookDetails": {**asked.get("hookDetails", {}), **answers[-1]["hookDetails"]}}
            await asyncio.sleep(0.2)
            answers.append(await invoke(asked))
    return answers


@pytest.fixture(autouse=True)
def _environment(api: Gating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTHD_HOOK", f"{api.daemon.url}/hooks/ecs/ecs")
    monkeypatch.setenv("HEALTHD_TOKEN", api.tokens["hooks"])


async def test_a_good_version_succeeds_and_a_bad_one_fails(api: Gating) -> None:
    """After being in progress, with one gate however often ECS asks."""
    service = api.service()
    answers = await run(event(service, "POST_PRODUCTION_TRAFFIC_SHIFT"))
    assert answers[-1]["hookStatus"] == "SUCCEEDED"
    assert len({answer["hookDetails"]["healthdGate"] for answer in answers}) == 1
    answers = await run(event(service, "POST_TEST_TRAFFIC_SHIFT", "another"))
    assert answers[-1]["hookStatus"] == "FAILED"
    assert answers[-1]["hookDetails"]["healthdSays"]
    gates = (await api.call("GET", f"/gates?service={service}")).body["gates"]
    assert [gate["candidate"]["version"] for gate in gates] == [GREEN, GREEN]


async def test_a_rollback_is_not_judged(api: Gating) -> None:
    """The stage of the shift is called again with no weight on the new revision."""
    service = api.service()
    answers = await run(event(service, "PRODUCTION_TRAFFIC_SHIFT", weight=100))
    assert answers[-1]["hookStatus"] == "SUCCEEDED"
    back = await invoke(event(service, "PRODUCTION_TRAFFIC_SHIFT", weight=0))
    assert back["hookStatus"] == "SUCCEEDED"
    assert "rolled back" in back["hookDetails"]["healthdSays"]
    assert (await invoke(event("stranger", "PRODUCTION_TRAFFIC_SHIFT", weight=0)))["hookStatus"] == "SUCCEEDED"
    assert len((await api.call("GET", f"/gates?service={service}")).body["gates"]) == 1


async def test_each_step_of_a_canary_has_a_gate(api: Gating) -> None:
    """More traffic is more evidence, and another chance to fail."""
    service = api.service()
    for weight in (10, 50):
        assert (await run(event(service, "PRODUCTION_TRAFFIC_SHIFT", weight=weight)))[-1]["hookStatus"] == "SUCCEEDED"
    assert len((await api.call("GET", f"/gates?service={service}")).body["gates"]) == 2


async def test_what_stands_in_the_way_is_waited_for(api: Gating) -> None:
    """A lock keeps the hook in progress, and says who has it."""
    service = api.service()
    lock = {"holder": "kim", "for": "1h", "reason": "an incident"}
    assert (await api.call("POST", f"/locks/{service}", lock)).status == 200
    waiting = await invoke(event(service, "POST_PRODUCTION_TRAFFIC_SHIFT"))
    assert waiting["hookStatus"] == "IN_PROGRESS"
    assert "kim" in waiting["hookDetails"]["healthdSays"]
    assert (await api.call("DELETE", f"/locks/{service}?holder=kim")).status == 204
    assert (await run(event(service, "POST_PRODUCTION_TRAFFIC_SHIFT")))[-1]["hookStatus"] == "SUCCEEDED"


async def test_what_healthd_refuses_fails_the_lambda(api: Gating, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with it the deployment: an unknown service or stage, a wrong token, an event of another form."""
    with pytest.raises(aws_relay.Refused, match="PRE_SCALE_UP is not under"):
        await invoke(event(api.service(), "PRE_SCALE_UP"))
    with pytest.raises(aws_relay.Refused, match="stranger"):
        await invoke(event("stranger", "POST_PRODUCTION_TRAFFIC_SHIFT"))
    with pytest.raises(aws_relay.Refused, match="422"):
        await invoke({"lifecycleStage": "LUNCH"})
    monkeypatch.setenv("HEALTHD_TOKEN", "hd_wrong")
    with pytest.raises(aws_relay.Refused, match="401"):
        await invoke(event(api.service(), "POST_PRODUCTION_TRAFFIC_SHIFT"))
    assert "hd_wrong" not in api.daemon.log()


async def test_a_healthd_out_of_reach_is_waited_for_and_then_fails(
    api: Gating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that it has been away is in ECS's keeping; once it is back it is forgotten."""
    asked = event(api.service(), "POST_PRODUCTION_TRAFFIC_SHIFT")
    reachable = f"{api.daemon.url}/hooks/ecs/ecs"
    monkeypatch.setenv("HEALTHD_HOOK", f"http://{HOST}:{free_port()}/")
    first = await invoke(asked)
    assert first["hookStatus"] == "IN_PROGRESS"
    since = first["hookDetails"]["healthdUnreachableSince"]
    assert (await invoke({**asked, "hookDetails": first["hookDetails"]}))["hookDetails"] == first["hookDetails"]
    long_ago = {"healthdUnreachableSince": since - 1000}
    assert (await invoke({**asked, "hookDetails": long_ago}))["hookStatus"] == "FAILED"
    monkeypatch.setenv("HEALTHD_HOOK", reachable)
    back = await invoke({**asked, "hookDetails": long_ago})
    assert back["hookStatus"] != "FAILED"
    assert back["hookDetails"]["healthdUnreachableSince"] is None


GROUPS = {
    "blue": "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/api/73e2d6bc24d8a067",
    "green": "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/api-2/943f017f100becff",
}
COUNTED = {
    "targets": {"blue": "http://127.0.0.1:9", "green": "http://127.0.0.1:10"},
    "source": {
        "kind": "cloudwatch",
        "load_balancer": "app/shop/50dc6c495c0c9188",
        "target_groups": GROUPS,
        "region": "us-west-2",
        "endpoint": "http://127.0.0.1:9",
    },
    "policy": "pushed",
}


async def test_ecs_is_asked_which_target_group_has_the_new_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It swaps both at every deployment. Until it says so the hook is in progress, and says why."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    said: dict[str, Any] = {}

    def describe(received: Received) -> Answer:
        assert received.headers["X-Amz-Target"] == "AmazonEC2ContainerServiceV20141113.DescribeServiceRevisions"
        assert "/us-west-2/ecs/aws4_request" in received.headers["Authorization"]  # the region of the event
        body = received.json()
        assert isinstance(body, dict)
        (arn,) = body["serviceRevisionArns"]
        if "denied" in said:
            return Answer(400, json={"__type": "AccessDeniedException"})
        used = [{"targetGroupArn": group} for group in said.get("groups", ())]
        revision = {"serviceRevisionArn": arn, "resolvedConfiguration": {"loadBalancers": used}}
        return Answer(200, json={"serviceRevisions": [revision], "failures": []})

    async with peer() as ecs:
        ecs.answer("POST", "/", describe)
        stages = {"POST_PRODUCTION_TRAFFIC_SHIFT": {"service": "api"}}
        hook = {"kind": "ecs", "endpoint": ecs.url, "services": {"main/api": stages}}
        async with gating(tmp_path, services={"api": COUNTED}, hooks={"ecs": hook}) as api:
            monkeypatch.setenv("HEALTHD_HOOK", f"{api.daemon.url}/hooks/ecs/ecs")
            monkeypatch.setenv("HEALTHD_TOKEN", api.tokens["hooks"])

            async def asked(deployment: str) -> Any:
                return await invoke(event("api", "POST_PRODUCTION_TRAFFIC_SHIFT", deployment))

            said["denied"] = True
            waiting = await asked("first")
            assert waiting["hookStatus"] == "IN_PROGRESS"
            assert "may not call ecs:DescribeServiceRevisions" in waiting["hookDetails"]["healthdSays"]
            del said["denied"]
            assert "no target group of the new revision yet" in (await asked("first"))["hookDetails"]["healthdSays"]
            for deployment, target in (("first", "green"), ("second", "blue")):
                said["groups"] = [GROUPS[target]]
                assert "healthdGate" in (await asked(deployment))["hookDetails"]
                gate = (await api.call("GET", "/gates?service=api")).body["gates"][0]
                assert gate["candidate"]["target"] == target
            said["groups"] = [GROUPS["blue"].replace("api", "another")]
            failed = await asked("third")
            assert failed["hookStatus"] == "FAILED"
            assert "another/73e2d6bc24d8a067" in failed["hookDetails"]["healthdSays"]
