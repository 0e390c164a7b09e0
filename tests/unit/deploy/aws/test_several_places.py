"""Two rules that belong together are switched together: one that cannot be is told, and all go back."""

from typing import Any, cast

import pytest

from healthd_deploy.aws.cloud import Cloud
from healthd_deploy.aws.platform import AwsPlatform
from healthd_deploy.aws.remote import Remote
from healthd_deploy.aws.settings import BlueGreenConfig
from healthd_deploy.core.exit import StepFailed
from healthd_gates.actions.alb_forwarding import weights
from tests.unit.deploy.aws.test_settings import BLUE, ELB, GREEN

FIRST = f"{ELB}:listener/app/alb/50dc6c495c0c9188/f2f7dc8efc522ab2"
SECOND = f"{ELB}:listener-rule/app/alb/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"


class Elb:
    """The load balancer as far as a switch asks it. A rule that is `stuck` refuses its change, as AWS does one that
    does not fit its listener."""

    def __init__(self) -> None:
        blue = [{"Type": "forward", "TargetGroupArn": BLUE}]
        self.places: dict[str, Any] = {FIRST: blue, SECOND: blue}
        self.stuck = False

    async def describe_listeners(self, **asked: Any) -> Any:
        return {"Listeners": [{"DefaultActions": self.places[asked["ListenerArns"][0]]}]}

    async def describe_rules(self, **asked: Any) -> Any:
        return {"Rules": [{"Actions": self.places[asked["RuleArns"][0]]}]}

    async def modify_listener(self, **asked: Any) -> Any:
        self.places[asked["ListenerArn"]] = asked["DefaultActions"]
        return {"Listeners": [{"DefaultActions": asked["DefaultActions"]}]}

    async def modify_rule(self, **asked: Any) -> Any:
        from botocore.exceptions import ClientError

        if self.stuck:
            raise ClientError({"Error": {"Code": "InvalidConfigurationRequest", "Message": "no"}}, "ModifyRule")
        self.places[asked["RuleArn"]] = asked["Actions"]
        return {"Rules": [{"Actions": asked["Actions"]}]}

    async def describe_target_health(self, **asked: Any) -> Any:
        health = {"Target": {"Id": "i-0abc1234", "Port": 80}, "TargetHealth": {"State": "healthy"}}
        return {"TargetHealthDescriptions": [health] if asked["TargetGroupArn"] else []}

    async def describe_tags(self, **asked: Any) -> Any:
        version = {"Key": "healthd:version", "Value": "1.0" if asked["ResourceArns"] == [BLUE] else "2.0"}
        return {"TagDescriptions": [{"Tags": [version]}]}

    def traffic(self) -> list[str]:
        """The group that has all of each place."""
        names = {BLUE: "blue", GREEN: "green"}
        return [names[max(found, key=found.__getitem__)] for found in map(weights, self.places.values())]


@pytest.fixture
def elb() -> Elb:
    return Elb()


@pytest.fixture
def platform(elb: Elb) -> AwsPlatform:
    return platform_of(elb)


def platform_of(elb: Elb, before: str | None = None) -> AwsPlatform:
    async def before_ramp() -> str | None:
        return before

    document = {
        "service": "shop",
        "listener": FIRST,
        "also": [SECOND],
        "target_groups": {"blue": BLUE, "green": GREEN},
        "release": {"commands": ["true"]},
    }
    cloud = Cloud(elb, None, None, None, 1)
    return AwsPlatform(BlueGreenConfig.model_validate(document), cloud, cast("Remote", None), before_ramp)


async def test_both_are_switched(elb: Elb, platform: AwsPlatform) -> None:
    await platform.switch("green")
    assert (elb.traffic(), await platform.live()) == (["green", "green"], "green")


async def test_one_that_cannot_be_switched_is_told_and_all_go_back(elb: Elb, platform: AwsPlatform) -> None:
    elb.stuck = True
    with pytest.raises(StepFailed, match=r"rule 9683b2d02a6cabee: .* listener f2f7dc8efc522ab2 was switched"):
        await platform.switch("green")
    assert elb.traffic() == ["green", "blue"]
    await platform.switch("blue")
    assert (elb.traffic(), await platform.live()) == (["blue", "blue"], "blue")


async def test_a_switch_that_was_killed_halfway_is_gone_on_with(elb: Elb, platform: AwsPlatform) -> None:
    """The first place tells which version is live; nothing is released to a group that has a part of the traffic."""
    elb.places[FIRST] = [{"Type": "forward", "TargetGroupArn": GREEN}]
    assert await platform.live() == "green"
    with pytest.raises(StepFailed, match=r"rule 9683b2d02a6cabee forwards 100% to blue: give green all of it"):
        await platform.release("blue", "1.1")
    await platform.switch("green")
    assert elb.traffic() == ["green", "green"]


async def test_a_place_that_somebody_has_taken_stops_the_switch_before_anything(
    elb: Elb, platform: AwsPlatform
) -> None:
    elb.places[SECOND] = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
    with pytest.raises(StepFailed, match="somebody has put something else in place"):
        await platform.switch("green")
    assert elb.places[FIRST] == [{"Type": "forward", "TargetGroupArn": BLUE}]


def divided(green: int) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": BLUE, "Weight": 1000 - green}, {"TargetGroupArn": GREEN, "Weight": green}]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


ALL_AT_GREEN = [{"Type": "forward", "TargetGroupArn": GREEN}]


@pytest.mark.parametrize(
    ("first", "second", "before", "live"),
    [
        (divided(500), divided(500), "blue", "blue"),
        (divided(900), divided(900), "blue", "blue"),
        (ALL_AT_GREEN, divided(500), "blue", "blue"),  # killed between the two places
        (ALL_AT_GREEN, ALL_AT_GREEN, "blue", "green"),
        (divided(500), divided(500), "elsewhere", None),
        (divided(500), divided(500), None, None),
        (divided(100), divided(100), None, "blue"),  # a canary that somebody has left
    ],
)
async def test_who_is_live_while_a_ramp_divides_the_traffic(
    elb: Elb, first: Any, second: Any, before: str | None, live: str | None
) -> None:
    """Who had all of it before, however much the candidate has by now."""
    elb.places = {FIRST: first, SECOND: second}
    found = platform_of(elb, before)
    if live is None:
        with pytest.raises(StepFailed, match="it forwards 50% to blue, 50% to green: give one of them all of it"):
            await found.live()
        return
    assert await found.live() == live


async def test_nothing_is_released_to_a_group_that_has_a_part(elb: Elb) -> None:
    """What it has already is no release: a deploy that was killed goes on."""
    elb.places = dict.fromkeys((FIRST, SECOND), divided(50))
    found = platform_of(elb, "blue")
    assert await found.share("green") == 0.05
    await found.release("green", "2.0")
    with pytest.raises(StepFailed, match="forwards 95% to blue, 5% to green"):
        await found.release("green", "2.1")
    await found.switch("blue")
    assert elb.traffic() == ["blue", "blue"]
