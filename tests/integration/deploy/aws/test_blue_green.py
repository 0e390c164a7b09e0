"""`healthd-deploy aws blue-green` with real requests, real commands on instances, and a real daemon."""

import signal
from pathlib import Path

import pytest

from healthd.runtime.redaction import Redactor
from healthd_deploy.aws.cloud import opened
from healthd_deploy.aws.platform import AwsPlatform
from healthd_deploy.aws.remote import Remote
from healthd_deploy.aws.settings import BlueGreenConfig
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.steps import Steps
from tests.integration.deploy.aws.stage import RELEASE, Stage, judged, staged
from tests.servers import moto
from tests.servers.aws import Failure
from tests.servers.waiting import until

PAIR = {"blue": ["1.0", "1.0"], "green": ["0.9", "0.9"]}
CHANGES = ("Modify", "Register", "Deregister", "Send", "Cancel", "Add", "Create", "Delete")


def changes(stage: Stage) -> list[str]:
    """The calls that changed something."""
    return [call for call in stage.front.calls if call.partition(":")[2].startswith(CHANGES)]


async def test_a_good_version_is_promoted_and_a_bad_one_is_not(aws: moto.Moto, tmp_path: Path) -> None:
    """No request fails by a switch; the daemon and the tool put the traffic back without harm to each other."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage, acts=True, loaded=True):
        good = await stage.deploy("blue-green", "1.1", retire_after="0s", retire={"commands": ["echo $version > old"]})
        assert good.code == 0, good.err
        assert (stage.live(), stage.versions("green")) == ("green", ["1.1", "1.1"])
        assert (stage.members["blue"][0].folder / "old").exists()
        assert {status for _, status in stage.load.seen} == {200}
        bad = await stage.deploy("blue-green", "2.0")
        assert bad.code == 1, bad.err
        assert (stage.live(), stage.versions("blue")) == ("green", ["2.0", "2.0"])
        assert "healthd: " in bad.err, "the daemon's own rollback was waited for"
        assert "of its" in bad.out, "the report says how many requests failed"
        assert {text for text, status in stage.load.seen if status != 200} == {"2.0"}
        stage.load.seen.clear()
        await until(lambda: len(stage.load.seen) > 20, "more requests")
        assert set(stage.load.seen) == {("1.1", 200)}
        again = await stage.deploy("blue-green", "2.0")
        assert (again.code, "quarantine" in again.out) == (3, True), again.out


async def test_killed_after_the_switch_it_goes_on_at_the_gate(aws: moto.Moto, tmp_path: Path) -> None:
    """The same key joins the same gate; nothing is released again."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage, loaded=True):
        tool = await stage.start("blue-green", "1.1", "--key", "run-7")
        await until(lambda: stage.traffic.weights.get(stage.groups["green"]) == 100, "the switch")
        tool.send_signal(signal.SIGKILL)
        await tool.wait()
        stage.front.calls.clear()
        again = await stage.deploy("blue-green", "1.1", "--key", "run-7")
        assert again.code == 0, again.err
        assert (stage.live(), changes(stage)) == ("green", [])


async def test_one_instance_that_fails_stops_it_before_the_switch(aws: moto.Moto, tmp_path: Path) -> None:
    """With its output; whoever asks for the version of the group then is told none."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage):
        broken = stage.members["green"][1]
        script = f"[ $INSTANCE != {broken.id} ] || {{ echo token=hunter22 no disk; exit 28; }}; {RELEASE}"
        ended = await stage.deploy("blue-green", "1.1", release={"commands": [script], "interval": "50ms"})
        assert ended.code == 1
        assert f"failed on 1 of 2 instances: {broken.id} Failed (exit code 28): token=*** no disk" in ended.err
        assert "hunter22" not in ended.err + ended.out
        assert stage.live() == "blue"
        tags = await stage.elbv2.describe_tags(ResourceArns=[stage.groups["green"]])
        assert tags["TagDescriptions"][0]["Tags"] == [{"Key": "healthd:version", "Value": ""}]


async def test_targets_that_stay_ill_get_no_traffic(aws: moto.Moto, tmp_path: Path) -> None:
    """Nothing was switched, and the message says what they are."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage):
        ended = await stage.deploy("blue-green", "ill", healthy={"within": "1s", "interval": "100ms"})
        assert ended.code == 1
        assert "all targets of green healthy: not within 1 s (2 unhealthy)" in ended.err
        assert stage.live() == "blue"


async def test_an_api_that_falters_does_not_stop_it(aws: moto.Moto, tmp_path: Path) -> None:
    """Throttling and faults of AWS are waited out; a command whose answer was lost is found, and not sent twice."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage, loaded=True):
        throttled, fault = Failure(400, "Throttling"), Failure(500, "InternalFailure")
        stage.front.fail("elasticloadbalancing:DescribeListeners", throttled, fault)
        stage.front.fail("elasticloadbalancing:ModifyListener", throttled)
        stage.front.fail("ssm:ListCommandInvocations", Failure(400, "ThrottlingException"))
        stage.front.fail("ssm:SendCommand", Failure(400, "ThrottlingException"), Failure(503, "Lost", lost=True))
        release = {"commands": [f"sleep 4; {RELEASE}"], "interval": "50ms"}
        ended = await stage.deploy("blue-green", "1.1", release=release)
        assert ended.code == 0, ended.err
        assert len(stage.front.commands) == 1
        stage.front.fail("elasticloadbalancing:DescribeListeners", *[Failure(403, "AccessDenied")] * 2)
        denied = await stage.deploy("blue-green", "1.2")
        assert denied.code == 1
        assert "may not call DescribeListeners (AccessDenied)" in denied.err


async def test_an_interrupted_release_is_cancelled(aws: moto.Moto, tmp_path: Path) -> None:
    """On the instances too; and a dry run has changed nothing before."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage):
        dry = await stage.deploy("blue-green", "1.1", "--dry-run")
        assert (dry.code, changes(stage)) == (0, []), dry.err
        assert "would switch the traffic from blue to green" in dry.err
        tool = await stage.start("blue-green", "1.1", release={"commands": ["sleep 60"], "interval": "50ms"})
        running = lambda: any(run.status == "InProgress" for one in stage.front.commands.values() for run in one.runs)  # noqa: E731
        await until(running, "the command runs")
        tool.send_signal(signal.SIGTERM)
        _, err = await tool.communicate()
        assert tool.returncode == 130, err.decode()
        (ordered,) = stage.front.commands.values()
        await until(lambda: [run.status for run in ordered.runs] == ["Cancelled"] * 2, "both are ended")
        assert stage.live() == "blue"


async def test_what_somebody_else_has_put_in_place_is_left_alone(aws: moto.Moto, tmp_path: Path) -> None:
    """A page of maintenance, and a canary that somebody has left, want a person before a deploy."""
    async with staged(aws, tmp_path, **PAIR) as stage, judged(stage):
        page = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
        listener = stage.traffic.listener
        await stage.elbv2.modify_listener(ListenerArn=listener, DefaultActions=page)
        ended = await stage.deploy("blue-green", "1.1")
        assert (ended.code, "forwards to no target group" in ended.err) == (1, True), ended.err
        groups = [{"TargetGroupArn": stage.groups["blue"], "Weight": 90}]
        groups.append({"TargetGroupArn": stage.groups["green"], "Weight": 10})
        split = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
        await stage.elbv2.modify_listener(ListenerArn=listener, DefaultActions=split)
        ended = await stage.deploy("blue-green", "1.1")
        assert (ended.code, "forwards 90% to blue, 10% to green" in ended.err) == (1, True), ended.err
        assert changes(stage) == []


async def test_a_rule_is_switched_and_its_instances_come_and_go(
    aws: moto.Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group without traffic is named beside the other, and so checked, before it gets any."""
    for name, value in moto.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    async with staged(aws, tmp_path, **PAIR) as stage:
        path = [{"Field": "path-pattern", "Values": ["/api/*"]}]
        blue = [{"Type": "forward", "TargetGroupArn": stage.groups["blue"]}]
        listener = stage.traffic.listener
        made = await stage.elbv2.create_rule(ListenerArn=listener, Conditions=path, Priority=1, Actions=blue)
        rule = made["Rules"][0]["RuleArn"]
        members = {name: [one.id for one in found] for name, found in stage.members.items()}
        more = {"instances": members, "deregister": True, "retire_after": "0s"}
        config = BlueGreenConfig.model_validate({**stage.config("blue-green", rule=rule, **more), "listener": None})
        steps = Steps(quiet=True)

        async def weights() -> list[int]:
            answer = await stage.elbv2.describe_rules(RuleArns=[rule])
            return [group["Weight"] for group in answer["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]]

        async with opened(config.aws, config.places[0]) as cloud:
            platform = AwsPlatform(config, cloud, Remote(cloud, "run-7", steps.say, Redactor()))
            assert await platform.live() == "blue"
            await platform.retire("green")
            assert await stage.registered("green") == []
            await platform.release("green", "1.1")
            assert (await stage.registered("green"), await weights()) == (members["green"], [100, 0])
            await platform.switch("green")
            assert (await platform.live(), await platform.version("green"), stage.live()) == ("green", "1.1", "blue")
            await platform.retire("blue")
            for gives in (platform.switch, platform.could_take_back):
                with pytest.raises(StepFailed, match="blue has no target that could take the traffic"):
                    await gives("blue")
