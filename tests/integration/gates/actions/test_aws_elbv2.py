"""The load balancer action against moto's imitation of AWS and, for targets that are ill, a scripted answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiobotocore.session import get_session
from pydantic import ValidationError

from healthd_gates.actions.contract import ActionConfig, ActionRequest, Ending
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.request import Version
from healthd_gates.sources.contract import ArmError
from tests.integration.gates.actions.ordering import configured, described, order, tried
from tests.servers import moto
from tests.servers.peers import Answer, Peer, Received

REGION = moto.CREDENTIALS["AWS_DEFAULT_REGION"]
ARN = f"arn:aws:elasticloadbalancing:{REGION}:123456789012"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@dataclass
class Balancer:
    """A load balancer with a listener, a rule, and a group for blue and for green; green has the traffic."""

    client: Any
    url: str
    listener: str
    rule: str
    groups: dict[str, str]

    def action(self, **changes: Any) -> ActionConfig:
        place = {} if "rule" in changes else {"listener": self.listener}
        return configured(kind="aws_elbv2", target_groups=self.groups, endpoint=self.url, **place, **changes)

    async def forwarded(self) -> dict[str, int]:
        """The weights of the listener's default action."""
        answer = await self.client.describe_listeners(ListenerArns=[self.listener])
        (action,) = answer["Listeners"][0]["DefaultActions"]
        names = {arn: name for name, arn in self.groups.items()}
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{**action, "Weight": 1}]
        return {names[group["TargetGroupArn"]]: group["Weight"] for group in groups}

    async def forward(self, *, sticky: bool = False, **weights: int) -> None:
        groups = [{"TargetGroupArn": self.groups[name], "Weight": weight} for name, weight in weights.items()]
        cookie = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 3600}} if sticky else {}
        actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups, **cookie}}]
        await self.client.modify_listener(ListenerArn=self.listener, DefaultActions=actions)


@pytest.fixture
async def balancer(aws: moto.Moto) -> AsyncIterator[Balancer]:
    aws.reset()
    session = get_session()
    async with (
        session.create_client("ec2", region_name=REGION, endpoint_url=aws.url) as ec2,
        session.create_client("elbv2", region_name=REGION, endpoint_url=aws.url) as elbv2,
    ):
        vpc = (await ec2.create_vpc(CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
        subnet = (await ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24"))["Subnet"]["SubnetId"]
        image = (await ec2.describe_images())["Images"][0]["ImageId"]
        ran = await ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)
        made = await elbv2.create_load_balancer(Name="alb", Subnets=[subnet])
        groups = {}
        for name in ("blue", "green"):
            group = await elbv2.create_target_group(Name=name, Protocol="HTTP", Port=3000, VpcId=vpc)
            groups[name] = group["TargetGroups"][0]["TargetGroupArn"]
            target = {"Id": ran["Instances"][0]["InstanceId"]}
            await elbv2.register_targets(TargetGroupArn=groups[name], Targets=[target])
        green = [{"Type": "forward", "TargetGroupArn": groups["green"]}]
        listener = await elbv2.create_listener(
            LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=green
        )
        arn = listener["Listeners"][0]["ListenerArn"]
        path = [{"Field": "path-pattern", "Values": ["/api/*"]}]
        rule = await elbv2.create_rule(ListenerArn=arn, Conditions=path, Priority=1, Actions=green)
        yield Balancer(elbv2, aws.url, arn, rule["Rules"][0]["RuleArn"], groups)


async def test_the_listener_forwards_to_the_baseline_again(balancer: Balancer) -> None:
    """And once it does, nothing is done."""
    outcome = await tried(balancer.action(), order())
    assert (outcome.ending, outcome.detail) == (
        Ending.DONE,
        "did forward everything to blue; before it was 100% to green",
    )
    assert await balancer.forwarded() == {"blue": 100, "green": 0}
    again = await tried(balancer.action(), order())
    assert (again.ending, again.detail) == (Ending.DONE, "nothing to do: it forwards 100% to blue already")


async def test_a_rule_forwards_to_the_baseline_again(balancer: Balancer) -> None:
    """The listener's default action stays as it is."""
    outcome = await tried(balancer.action(rule=balancer.rule), order())
    assert outcome.ending is Ending.DONE
    answer = await balancer.client.describe_rules(RuleArns=[balancer.rule])
    weights = [group["Weight"] for group in answer["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]]
    assert weights == [100, 0]
    assert await balancer.forwarded() == {"green": 1}


async def test_what_belongs_together_is_moved_together(balancer: Balancer) -> None:
    """A rule that is gone keeps no listener from going back, and is told; a ramp begins at none of them then."""
    both = balancer.action(also=[balancer.rule])
    outcome = await tried(both, order())
    assert (outcome.ending, outcome.seen, outcome.detail.count("did forward everything to blue")) == (
        Ending.DONE,
        True,
        2,
    )
    assert "; rule " in outcome.detail
    await balancer.forward(green=100)
    await balancer.client.delete_rule(RuleArn=balancer.rule)
    outcome = await tried(both, order())
    assert outcome.ending is Ending.RETRY
    assert "listener" in outcome.detail
    assert await balancer.forwarded() == {"green": 0, "blue": 100}
    part = await tried(both, replace(order(occasion=Occasion.RAMP, key="0123:ramp-1:back"), weight=0.5))
    assert (part.ending, await balancer.forwarded()) == (Ending.RETRY, {"green": 0, "blue": 100})


async def test_a_canary_loses_its_share(balancer: Balancer) -> None:
    """Weights of both groups are set."""
    await balancer.forward(blue=90, green=10)
    assert (await tried(balancer.action(), order())).ending is Ending.DONE
    assert await balancer.forwarded() == {"blue": 100, "green": 0}


async def test_callers_that_a_cookie_ties_to_the_candidate_are_freed(balancer: Balancer) -> None:
    """Also where somebody has taken the candidate's weight away and forgotten the cookie."""
    for weights in ({"blue": 90, "green": 10}, {"blue": 100, "green": 0}):
        await balancer.forward(sticky=True, **weights)
        outcome = await tried(balancer.action(), order())
        assert outcome.ending is Ending.DONE, outcome.detail
        assert outcome.detail.startswith("did forward everything to blue")
        answer = await balancer.client.describe_listeners(ListenerArns=[balancer.listener])
        (action,) = answer["Listeners"][0]["DefaultActions"]
        assert action["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"] is False
    assert await balancer.forwarded() == {"blue": 100, "green": 0}


async def test_of_two_groups_the_other_one_is_the_baselines(balancer: Balancer) -> None:
    """Where the request does not say where the baseline is."""
    outcome = await tried(balancer.action(), order(baseline=Version(version="1.0")))
    assert outcome.ending is Ending.DONE
    assert await balancer.forwarded() == {"blue": 100, "green": 0}


async def test_what_somebody_else_switched_is_left_alone(balancer: Balancer) -> None:
    """A candidate without traffic needs no rollback, and a page of maintenance has its reason."""
    yellow = f"{ARN}:targetgroup/yellow/73e2d6bc24d8a067"
    balancer.groups["yellow"] = balancer.groups["green"]
    balancer.groups["green"] = yellow
    outcome = await tried(balancer.action(), order())
    assert outcome.ending is Ending.REFUSED
    assert "somebody moved it" in outcome.detail
    page = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}]
    await balancer.client.modify_listener(ListenerArn=balancer.listener, DefaultActions=page)
    assert (await tried(balancer.action(), order())).ending is Ending.REFUSED


async def test_nothing_is_rolled_back_into_nothing(balancer: Balancer) -> None:
    """A baseline's group without targets, or that was deleted, is told."""
    described_health = await balancer.client.describe_target_health(TargetGroupArn=balancer.groups["blue"])
    targets = [target["Target"] for target in described_health["TargetHealthDescriptions"]]
    await balancer.client.deregister_targets(TargetGroupArn=balancer.groups["blue"], Targets=targets)
    outcome = await tried(balancer.action(), order())
    assert outcome.ending is Ending.NO_BASELINE
    assert outcome.detail.startswith("target group blue has no healthy target")
    await balancer.client.delete_target_group(TargetGroupArn=balancer.groups["blue"])
    assert (await tried(balancer.action(), order())).ending is Ending.NO_BASELINE
    assert await balancer.forwarded() == {"green": 1}


@pytest.mark.parametrize(
    ("state", "reason", "able"),
    [
        ("unhealthy", "Target.FailedHealthChecks", False),
        ("draining", "Target.DeregistrationInProgress", False),
        ("unused", "Target.InvalidState", False),
        ("unused", "Target.NotInUse", True),
        ("initial", "Elb.InitialHealthChecking", True),
    ],
)
async def test_which_targets_can_take_the_traffic(peer: Peer, state: str, reason: str, able: bool) -> None:
    """Those of a group that nothing forwards to are not checked by AWS, and called unused: they are what is wanted."""
    groups = {name: f"{ARN}:targetgroup/{name}/0123456789abcdef" for name in ("blue", "green")}
    answers = {
        "DescribeListeners": f"<Listeners><member><DefaultActions><member><Type>forward</Type><TargetGroupArn>"
        f"{groups['green']}</TargetGroupArn></member></DefaultActions></member></Listeners>",
        "DescribeTargetHealth": "<TargetHealthDescriptions><member><TargetHealth>"
        f"<State>{state}</State><Reason>{reason}</Reason></TargetHealth></member></TargetHealthDescriptions>",
    }

    def answer(received: Received) -> Answer:
        call = received.body.decode().partition("Action=")[2].partition("&")[0]
        return Answer(200, body=f"<{call}Response><{call}Result>{answers[call]}</{call}Result></{call}Response>")

    peer.fallback = answer
    listener = f"{ARN}:listener/app/alb/0123456789abcdef/0123456789abcdef"
    config = configured(kind="aws_elbv2", listener=listener, target_groups=groups, endpoint=peer.url)
    told = await described(config, order())
    assert ("would forward everything to blue" in told) is able, told


async def test_a_dry_run_changes_nothing(balancer: Balancer) -> None:
    """It says what would change, from what there is now."""
    assert (
        await described(balancer.action(), order()) == "would forward everything to blue; before it was 100% to green"
    )
    assert await balancer.forwarded() == {"green": 1}


async def test_a_dry_run_says_what_then_happens(balancer: Balancer) -> None:
    """From wherever the traffic is, word for word; and to do nothing where nothing is to be done."""
    for sticky, weights in (
        (False, {"blue": 90, "green": 10}),
        (True, {"blue": 50, "green": 50}),
        (False, {"blue": 1}),
    ):
        await balancer.forward(sticky=sticky, **weights)
        told = await described(balancer.action(), order())
        outcome = await tried(balancer.action(), order())
        assert outcome.detail == told.replace("would ", "did ")


async def test_an_api_that_says_no_is_tried_again(balancer: Balancer, peer: Peer) -> None:
    """Permissions can be mended, and throttling ends; the call that needs them is named."""
    denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    peer.fallback = Answer(403, body=denied)
    outcome = await tried(balancer.action().model_copy(update={"endpoint": peer.url}), order())
    assert outcome.ending is Ending.RETRY
    assert outcome.detail == "the credentials may not call elasticloadbalancing:DescribeListeners (AccessDenied)"
    gone = await tried(balancer.action().model_copy(update={"endpoint": "http://127.0.0.1:9"}), order())
    assert (gone.ending, gone.detail) == (Ending.RETRY, "127.0.0.1:9 refused the connection")


def test_a_gate_that_does_not_say_where_things_are_is_refused_at_its_start() -> None:
    """With the field to fill in."""
    groups = {name: f"{ARN}:targetgroup/{name}/0123456789abcdef" for name in ("blue", "green", "yellow")}
    config = configured(kind="aws_elbv2", listener=f"{ARN}:listener/app/alb/0/1", target_groups=groups)
    config.check(order().arms)
    with pytest.raises(ArmError, match=r"baseline\.target: is needed: .* one of blue, green, yellow"):
        config.check(order(baseline=Version(version="1.0")).arms)
    with pytest.raises(ArmError, match="candidate's own"):
        config.check(order(baseline=Version(version="1.0", target="green")).arms)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "either listener or rule"),
        ({"listener": f"{ARN}:listener/app/a/0/1", "rule": f"{ARN}:listener-rule/app/a/0/1/2"}, "either listener or"),
        ({"listener": "my-listener"}, "pattern"),
        ({"listener": f"{ARN}:listener/app/a/0/1", "target_groups": {"blue": f"{ARN}:targetgroup/a/0"}}, "at least 2"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the reason."""
    groups = {name: f"{ARN}:targetgroup/{name}/0" for name in ("blue", "green")}
    with pytest.raises(ValidationError, match=message):
        configured(**{"kind": "aws_elbv2", "target_groups": groups, **changes})


def ramp(weight: float) -> ActionRequest:
    return replace(order(occasion=Occasion.RAMP, key="0123:ramp-1:back"), weight=weight)


async def test_a_ramp_divides_the_requests(balancer: Balancer) -> None:
    """In thousandths, never more than ordered, without a cookie; then all, and at a rollback nothing."""
    await balancer.forward(sticky=True, blue=100)
    for weight, forwarded in (
        (0.0166, {"blue": 984, "green": 16}),
        (0.25, {"blue": 750, "green": 250}),
        (1.0, {"green": 100, "blue": 0}),
    ):
        outcome = await tried(balancer.action(), ramp(weight))
        assert (outcome.ending, outcome.seen) == (Ending.DONE, True), outcome
        assert await balancer.forwarded() == forwarded
        assert "nothing to do" in (await tried(balancer.action(), ramp(weight))).detail
    back = await tried(balancer.action(), replace(order(), weight=0.0))
    assert back.ending is Ending.DONE
    assert await balancer.forwarded() == {"blue": 100, "green": 0}
    small = await tried(balancer.action(), ramp(0.0005))
    assert (small.ending, "more budget" in small.detail) == (Ending.REFUSED, True)
    assert "would forward 25.0% to green; before it was 100% to blue" in await described(balancer.action(), ramp(0.25))
    await balancer.client.deregister_targets(
        TargetGroupArn=balancer.groups["green"],
        Targets=[
            {"Id": it["Target"]["Id"]}
            for it in (await balancer.client.describe_target_health(TargetGroupArn=balancer.groups["green"]))[
                "TargetHealthDescriptions"
            ]
        ],
    )
    empty = await tried(balancer.action(), ramp(0.25))
    assert (empty.ending, "no healthy target" in empty.detail) == (Ending.RETRY, True)
    assert await balancer.forwarded() == {"blue": 100, "green": 0}
