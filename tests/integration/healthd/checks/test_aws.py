"""The aws check against moto's imitation of AWS and, for what it cannot be made to say, scripted answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
import pytest_asyncio
from aiobotocore.session import AioSession

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import moto, ports, tcp
from tests.servers.peers import Answer, Peer

REGION = "eu-west-1"
KEYS = {"access_key_id": "AKIA-MARK-0123", "secret_access_key": "s3cr3t-MARK-4567"}
TARGET_GROUP = "<TargetGroups><member><TargetGroupArn>arn:tg</TargetGroupArn></member></TargetGroups>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account(aws: moto.Moto) -> str:
    """What the guide's checklist looks for; yields the account's number."""
    async with client(aws, "ec2") as ec2, client(aws, "elbv2") as elbv2, client(aws, "sts") as sts:
        vpc = (await ec2.create_vpc(CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
        await ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "edu-vpc"}])
        for name in ("edu-web", "edu-db", "other"):
            await ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)
        subnet = (await ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24"))["Subnet"]["SubnetId"]
        await elbv2.create_load_balancer(Name="edu-alb", Subnets=[subnet])
        made = await elbv2.create_target_group(Name="edu-blue", Protocol="HTTP", Port=3000, VpcId=vpc)
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        image = (await ec2.describe_images())["Images"][0]["ImageId"]
        ran = await ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2, SubnetId=subnet)
        targets = [{"Id": instance["InstanceId"]} for instance in ran["Instances"]]
        await elbv2.register_targets(TargetGroupArn=arn, Targets=targets)
        await elbv2.create_target_group(Name="edu-empty", Protocol="HTTP", Port=3000, VpcId=vpc)
        return str((await sts.get_caller_identity())["Account"])


def client(server: moto.Moto, service: str) -> Any:
    return AioSession().create_client(
        service, region_name=REGION, endpoint_url=server.url, aws_access_key_id="x", aws_secret_access_key="x"
    )


@asynccontextmanager
async def checked(url: str, **options: Any) -> AsyncIterator[Any]:
    async with watched("aws", **{"region": REGION, "endpoint_url": url, "timeout": "30s"} | KEYS | options) as check:
        yield check


async def test_all_there(aws: moto.Moto, account: str) -> None:
    """Identity, VPC, security groups, load balancer and targets; twice, over the same clients."""
    options = {
        "account": account,
        "vpc": "edu-vpc",
        "security_groups": "edu-*",
        "load_balancer": "edu-alb",
        "target_group": "edu-blue",
        "healthy_targets": 2,
    }
    async with checked(aws.url, **options) as check:
        await check.finds(Status.HEALTHY)
        observed = (await check.finds(Status.HEALTHY)).observed
    assert observed["account"] == account
    assert observed["securityGroups"] == ["edu-db", "edu-web"]
    assert observed["loadBalancerState"] == "active"
    assert (observed["targets"], observed["targetsHealthy"]) == (2, 2)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"account": "999999999999"}, FailureKind.MISCONFIGURED, "not 999999999999"),
        ({"vpc": "no-vpc"}, FailureKind.UNEXPECTED_RESPONSE, "no VPC with the tag Name=no-vpc"),
        ({"security_groups": "no-*"}, FailureKind.UNEXPECTED_RESPONSE, "no security group named no-*"),
        ({"load_balancer": "no-alb"}, FailureKind.UNEXPECTED_RESPONSE, "no load balancer no-alb"),
        ({"target_group": "no-blue"}, FailureKind.UNEXPECTED_RESPONSE, "no target group no-blue"),
        ({"target_group": "edu-empty"}, FailureKind.THRESHOLD, "no targets"),
        ({"target_group": "edu-blue", "healthy_targets": 3}, FailureKind.THRESHOLD, "at least 3"),
    ],
)
@pytest.mark.usefixtures("account")
async def test_missing(aws: moto.Moto, options: dict[str, Any], kind: FailureKind, words: str) -> None:
    """Whatever is not there is named."""
    async with checked(aws.url, **options) as check:
        assert words in (await check.finds(Status.UNHEALTHY, kind)).message


@pytest.mark.usefixtures("account")
async def test_everything_missing_is_listed(aws: moto.Moto) -> None:
    """One thing that is gone does not hide the others."""
    async with checked(aws.url, vpc="no-vpc", load_balancer="no-alb", security_groups="edu-*") as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    assert "no-vpc" in result.message
    assert "no-alb" in result.message
    assert result.observed["securityGroups"] == ["edu-db", "edu-web"]


async def test_no_credentials(aws: moto.Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither keys in the file nor anything that the SDK's chain finds."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with checked(aws.url, access_key_id=None, secret_access_key=None) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        assert "no AWS credentials" in result.message


def refusal(status: int, code: str) -> Answer:
    return xml(f"<Error><Code>{code}</Code><Message>MARK said no</Message></Error>", status, "ErrorResponse")


def xml(inner: str, status: int = 200, root: str = "Response") -> Answer:
    return Answer(status, body=f"<{root}>{inner}</{root}>", headers={"Content-Type": "text/xml"})


IDENTITY = xml(
    "<GetCallerIdentityResult><Arn>arn:aws:iam::1:user/u</Arn><UserId>U</UserId><Account>123456789012</Account>"
    "</GetCallerIdentityResult>"
)


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (refusal(403, "InvalidClientTokenId"), Status.UNHEALTHY, FailureKind.AUTH),
        (refusal(403, "ExpiredToken"), Status.UNHEALTHY, FailureKind.AUTH),
        (refusal(403, "AccessDenied"), Status.DEGRADED, FailureKind.PERMISSION),
        (refusal(400, "Throttling"), Status.DEGRADED, FailureKind.RATE_LIMITED),
        (refusal(500, "InternalFailure"), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        (Answer(200, body="<html>"), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        (xml(""), Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        (Answer(hang_up=True), Status.UNHEALTHY, FailureKind.CONNECT),
        (Answer(delay=10), Status.UNHEALTHY, FailureKind.TIMEOUT),
    ],
)
async def test_refusals(peer: Peer, answer: Answer, status: Status, kind: FailureKind) -> None:
    """What AWS says to credentials that are wrong, weak or too busy, and what it does when it is failing."""
    peer.answer("POST", "/", answer)
    async with checked(peer.url, timeout="1s" if answer.delay else "10s") as check:
        assert "MARK" not in repr(await check.finds(status, kind))


@pytest.mark.parametrize(
    ("state", "status", "kind"),
    [
        ("active", Status.HEALTHY, None),
        ("active_impaired", Status.DEGRADED, FailureKind.THRESHOLD),
        ("failed", Status.UNHEALTHY, FailureKind.THRESHOLD),
    ],
)
async def test_load_balancer_state(peer: Peer, state: str, status: Status, kind: FailureKind | None) -> None:
    """Only an active load balancer is green."""
    member = f"<member><State><Code>{state}</Code></State></member>"
    balancers = xml(
        f"<DescribeLoadBalancersResult><LoadBalancers>{member}</LoadBalancers></DescribeLoadBalancersResult>"
    )
    peer.answer_once("POST", "/", IDENTITY, balancers)
    async with checked(peer.url, load_balancer="edu-alb") as check:
        await check.finds(status, kind)


@pytest.mark.parametrize(
    ("states", "status", "kind"),
    [
        (["healthy", "healthy", "draining"], Status.HEALTHY, None),
        (["healthy", "unhealthy"], Status.DEGRADED, FailureKind.THRESHOLD),
        (["unhealthy", "initial"], Status.UNHEALTHY, FailureKind.THRESHOLD),
    ],
)
async def test_target_states(peer: Peer, states: list[str], status: Status, kind: FailureKind | None) -> None:
    """Enough healthy targets and none that fails is green; a draining one is on its way out."""
    members = "".join(f"<member><TargetHealth><State>{state}</State></TargetHealth></member>" for state in states)
    health = f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>"
    peer.answer_once(
        "POST",
        "/",
        IDENTITY,
        xml(f"<DescribeTargetGroupsResult>{TARGET_GROUP}</DescribeTargetGroupsResult>"),
        xml(f"<DescribeTargetHealthResult>{health}</DescribeTargetHealthResult>"),
    )
    async with checked(peer.url, target_group="edu-blue") as check:
        await check.finds(status, kind)


async def test_silence_leaves_nothing_behind() -> None:
    """Within the deadline, probe after probe; and refused is told apart."""
    with tcp.silent() as listener:
        async with checked(f"http://127.0.0.1:{listener.port}", timeout="1s") as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            before, tasks = len(psutil.Process().net_connections()), len(asyncio.all_tasks())
            for _ in range(3):
                await check.gives_up()
            assert len(psutil.Process().net_connections()) <= before
            assert len(asyncio.all_tasks()) <= tasks
    async with checked(f"http://127.0.0.1:{ports.free_port()}") as check:
        assert "refused" in (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
