"""A small AWS account for the deploy tools: a load balancer before groups of instances, and a daemon that judges."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from tests.servers import aws, balancer, daemon, instances, moto
from tests.servers.command import Outcome, Running, started
from tests.servers.daemon import Daemon
from tests.servers.instances import Instance
from tests.servers.requests import Load

_SESSION = get_session()  # one for all: it keeps what it has read of the services
ROOT = Path(__file__).parents[4]
REGION = moto.CREDENTIALS["AWS_DEFAULT_REGION"]
RELEASE = "touch stopped && echo $version > current && rm stopped && echo unpacked $version"
FAILING = {"2.0": 0.25, "ill": 2.0}
"""Version 2.0 is bad, and `ill` does not even start."""
SOURCE = {
    "kind": "scrape",
    "requests": 'app_requests_total{version="$version"}',
    "errors": 'app_requests_total{version="$version",status="500"}',
}
POLICY = {
    "initial_delay": "0s",
    "interval": "1s",
    "observe": {"min": "2s", "max": "25s"},
    "criteria": [{"kind": "error_rate", "limit": "5%"}],
    "confirm_timeout": "10s",
    "watch": "0s",
}


@dataclass
class Stage:
    """What a test holds."""

    front: aws.Front
    elbv2: Any
    ec2: Any
    traffic: balancer.Balancer
    groups: dict[str, str]
    members: dict[str, list[Instance]]
    folder: Path
    daemon: Daemon | None = None
    load: Load = field(init=False)

    def __post_init__(self) -> None:
        self.load = Load(self.traffic.url)

    def config(self, tool: str, **changes: Any) -> dict[str, Any]:
        """What the tool is told."""
        where = self.daemon.url if self.daemon else "http://127.0.0.1:9"
        place: dict[str, Any] = {"listener": self.traffic.listener, "target_groups": self.groups}
        if tool == "rolling":
            place = {"target_group": self.groups["blue"], "target": "blue", "previous": "1.0"}
            place["gates"] = {"before": [], "after": "quick"}
        return {
            "service": "shop",
            "healthd": {"url": where, "token": daemon.TOKEN, "retry_for": "5s"},
            "gates": {"before": [], "after": "quick"},
            "aws": {"endpoint": self.front.url, "timeout": "5s"},
            "release": {"commands": [RELEASE], "interval": "200ms", "timeout": "20s"},
            "healthy": {"within": "20s", "interval": "250ms"},
            "rollback_patience": "20s",
            **({"drain": {"within": "20s", "interval": "250ms"}} if tool == "rolling" else {}),
            **place,
            **changes,
        }

    async def start(self, tool: str, *words: str, **changes: Any) -> Running:
        file = self.folder / "deploy.json"
        file.write_text(json.dumps(self.config(tool, **changes)))
        env = {**os.environ, **moto.CREDENTIALS}
        return await started("healthd-deploy", "aws", tool, *words, "--config", str(file), env=env)

    async def deploy(self, tool: str, *words: str, **changes: Any) -> Outcome:
        process = await self.start(tool, *words, **changes)
        out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        assert set(self.front.calls) <= permitted(tool), "docs/deploy/aws.md must name every call"
        return Outcome(process.returncode, out.decode(), err.decode())

    def targets(self) -> dict[str, list[str]]:
        """The addresses of each group's instances."""
        return {name: [one.url for one in found] for name, found in self.members.items()}

    def versions(self, group: str = "blue") -> list[str]:
        return [instance.version for instance in self.members[group]]

    async def registered(self, group: str = "blue") -> list[str]:
        answer = await self.elbv2.describe_target_health(TargetGroupArn=self.groups[group])
        return sorted(one["Target"]["Id"] for one in answer["TargetHealthDescriptions"])

    def live(self) -> str:
        (arn,) = [arn for arn, weight in self.traffic.weights.items() if weight]
        return next(name for name, group in self.groups.items() if group == arn)


def permitted(tool: str) -> set[str]:
    """The actions of the IAM policy that the documentation gives for a tool."""
    section = (ROOT / "docs/deploy/aws.md").read_text().partition(f"### IAM: {tool}")[2]
    policy = json.loads(section.partition("```json")[2].partition("```")[0])
    return {action for statement in policy["Statement"] for action in statement["Action"]}


@asynccontextmanager
async def staged(server: moto.Moto, folder: Path, **versions: list[str]) -> AsyncIterator[Stage]:
    """Groups with an instance for each version, as in `staged(…, blue=["1.0", "1.0"], green=["0.9"])`; blue is live."""
    server.reset()
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    async with AsyncExitStack() as stack:

        async def client(service: str) -> Any:
            made = _SESSION.create_client(service, region_name=REGION, endpoint_url=server.url, **keys)
            return await stack.enter_async_context(made)

        ec2, elbv2 = await client("ec2"), await client("elbv2")
        front = await stack.enter_async_context(aws.front(server))
        vpc = (await ec2.create_vpc(CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
        subnet = (await ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24"))["Subnet"]["SubnetId"]
        image = (await ec2.describe_images())["Images"][0]["ImageId"]
        groups: dict[str, str] = {}
        members: dict[str, list[Instance]] = {}
        for name, each in versions.items():
            ran = await ec2.run_instances(ImageId=image, MinCount=len(each), MaxCount=len(each), SubnetId=subnet)
            made = await elbv2.create_target_group(Name=name, Protocol="HTTP", Port=3000, VpcId=vpc)
            groups[name] = made["TargetGroups"][0]["TargetGroupArn"]
            ids = sorted(one["InstanceId"] for one in ran["Instances"])
            members[name] = []
            for name_of, version in zip(ids, each, strict=True):
                home = folder / name_of
                home.mkdir()
                instance = Instance(name_of, home, FAILING)
                instance.unpack(version)
                front.instances[name_of] = await stack.enter_async_context(instances.serving(instance))
                members[name].append(instance)
            await elbv2.register_targets(TargetGroupArn=groups[name], Targets=[{"Id": one} for one in ids])
        alb = (await elbv2.create_load_balancer(Name="alb", Subnets=[subnet]))["LoadBalancers"][0]["LoadBalancerArn"]
        actions = [{"Type": "forward", "TargetGroupArn": groups["blue"]}]
        listener = await elbv2.create_listener(LoadBalancerArn=alb, Protocol="HTTP", Port=80, DefaultActions=actions)
        arn = listener["Listeners"][0]["ListenerArn"]
        traffic = await stack.enter_async_context(balancer.balancing(front, elbv2, arn))
        yield Stage(front, elbv2, ec2, traffic, groups, members, folder)


def judging(stage: Stage, *, acts: bool = False) -> dict[str, Any]:
    """The daemon's configuration: it counts by version, and puts the traffic back itself where `acts`."""
    action = {"kind": "aws_elbv2", "listener": stage.traffic.listener, "target_groups": stage.groups}
    return {
        "journal": f"sqlite:///{stage.folder}/journal.db",
        "checks": {},
        "policies": {"quick": POLICY},
        "actions": {"switch-alb": {**action, "endpoint": stage.front.url}} if acts else {},
        "services": {
            "shop": {
                "targets": stage.targets(),
                "source": SOURCE,
                "policy": "quick",
                "on_fail": ["switch-alb"] if acts else [],
            }
        },
    }


@asynccontextmanager
async def judged(
    stage: Stage, *, acts: bool = False, loaded: bool = False, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[None]:
    """With the daemon of these settings, or else of `judging`; where `loaded` with requests coming in."""
    async with AsyncExitStack() as stack:
        running = daemon.running(settings or judging(stage, acts=acts), env=moto.CREDENTIALS)
        stage.daemon = await stack.enter_async_context(running)
        if loaded:
            await stack.enter_async_context(stage.load.running())
        yield
