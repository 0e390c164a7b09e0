"""Where the rollbacks of the crash tests take effect: a receiver, a host, a load balancer, a cluster. Each counts its
effects, not its calls: how often a version was really put back.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from aiobotocore.session import get_session

from tests.integration.gates.engine import put_back
from tests.servers import kubernetes, moto, peers
from tests.servers.peers import Answer, Peer, Received

BASELINE = "1.0"
EACH = 3
_REGION = moto.CREDENTIALS["AWS_DEFAULT_REGION"]
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, order=True)
class Effect:
    """A version of a service that was put back by an action. `at` orders those of all processes of the machine."""

    at: int
    service: str
    version: str
    action: str


@dataclass
class Place:
    """The services of one kind of action: what is configured for them, how a version gets there, what was undone."""

    actions: dict[str, dict[str, Any]]
    deploy: Callable[[str, str], Awaitable[None]]
    effects: list[Effect] = field(default_factory=list)

    def undone(self, service: str, version: str, action: str) -> None:
        self.effects.append(Effect(time.monotonic_ns(), service, version, action))


class Receiver:
    """Idempotent: what comes under a key has its effect the first time. Now and then it is slow, or out of order."""

    def __init__(self, peer: Peer, place: Place) -> None:
        self._place, self._seen = place, set[str]()
        self.repeated = 0
        peer.answer("POST", "/", self._answer)

    def _answer(self, received: Received) -> Answer:
        if random.random() < 0.15:
            return Answer(503)
        key, told = received.headers["Idempotency-Key"], json.loads(received.body)
        self.repeated += key in self._seen
        if key not in self._seen:
            self._seen.add(key)
            self._place.undone(told["service"], told["candidate"]["version"], told["action"])
        return Answer(200, delay=random.choice((0.0, 0.0, 0.2)))


async def _nothing(_service: str, _version: str) -> None:
    """A receiver of webhooks is told of versions, and has none."""


@asynccontextmanager
async def receiver() -> AsyncIterator[Place]:
    async with peers.peer() as peer:
        hook = {"kind": "webhook", "url": f"{peer.url}/", "secret": "a-secret-for-signatures", "timeout": "5s"}
        place = Place(dict.fromkeys((*named("webhook"), "tell"), hook), _nothing)
        Receiver(peer, place)
        yield place


@asynccontextmanager
async def host(folder: Path) -> AsyncIterator[Place]:
    """Files that say which version a service runs."""
    script = [sys.executable, "-IS", put_back.__file__, str(folder), "$service", "$baseline"]

    async def deploy(service: str, version: str) -> None:
        await asyncio.to_thread(put_back.put, folder, service, version)

    place = Place({name: {"kind": "command", "argv": script, "timeout": "20s"} for name in named("command")}, deploy)
    yield place
    lines = (folder / "effects").read_text().splitlines() if (folder / "effects").exists() else []
    for at, service, version in map(str.split, lines):
        place.effects.append(Effect(int(at), service, version, service))


class Balancers:
    """Listeners of moto, with a front that looks at what changes them."""

    def __init__(self, client: Any, session: aiohttp.ClientSession, url: str) -> None:
        self._client, self._session, self._url = client, session, url
        self._listeners: dict[str, str] = {}
        self._groups: dict[str, dict[str, str]] = {}
        self._runs: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self.place: Place

    async def build(self, front: Peer) -> Place:
        actions = {}
        async with get_session().create_client("ec2", region_name=_REGION, endpoint_url=self._url) as ec2:
            vpc = (await ec2.create_vpc(CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
            subnet = (await ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24"))["Subnet"]["SubnetId"]
            image = (await ec2.describe_images())["Images"][0]["ImageId"]
            ran = await ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)
        target = {"Id": ran["Instances"][0]["InstanceId"]}
        made = await self._client.create_load_balancer(Name=f"alb-{random.getrandbits(32):x}", Subnets=[subnet])
        for number, service in enumerate(named("aws_elbv2")):
            groups = {}
            for color in ("blue", "green"):
                name = f"{color}-{random.getrandbits(32):x}"
                group = await self._client.create_target_group(Name=name, Protocol="HTTP", Port=3000, VpcId=vpc)
                groups[color] = group["TargetGroups"][0]["TargetGroupArn"]
                await self._client.register_targets(TargetGroupArn=groups[color], Targets=[target])
            listener = await self._client.create_listener(
                LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
                Protocol="HTTP",
                Port=80 + number,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": groups["blue"]}],
            )
            arn = self._listeners[service] = listener["Listeners"][0]["ListenerArn"]
            self._groups[arn] = groups
            actions[service] = {"kind": "aws_elbv2", "listener": arn, "target_groups": groups, "endpoint": front.url}
        front.fallback = self._answer
        self.place = Place(actions, self._deploy)
        return self.place

    async def _deploy(self, service: str, version: str) -> None:
        arn = self._listeners[service]
        async with self._changing:
            self._runs[arn] = version
            green = [{"Type": "forward", "TargetGroupArn": self._groups[arn]["green"]}]
            await self._client.modify_listener(ListenerArn=arn, DefaultActions=green)

    async def _answer(self, received: Received) -> Answer:
        call = parse_qs(received.body.decode())
        if call["Action"] != ["ModifyListener"]:
            return await self._passed_on(received)
        (arn,) = call["ListenerArn"]
        service = next(name for name, of in self._listeners.items() if of == arn)
        async with self._changing:
            before = await self._at_blue(arn)
            answer = await self._passed_on(received)
            if not before and await self._at_blue(arn):
                self.place.undone(service, self._runs[arn], service)
        return answer

    async def _at_blue(self, arn: str) -> bool:
        answer = await self._client.describe_listeners(ListenerArns=[arn])
        (action,) = answer["Listeners"][0]["DefaultActions"]
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{**action, "Weight": 1}]
        weights = {group["TargetGroupArn"]: group["Weight"] for group in groups}
        return bool(weights.get(self._groups[arn]["blue"]) and not weights.get(self._groups[arn]["green"]))

    async def _passed_on(self, received: Received) -> Answer:
        async with self._session.post(self._url, data=received.body, headers=received.headers) as response:
            return Answer(response.status, body=await response.read())


@asynccontextmanager
async def balancers(url: str) -> AsyncIterator[Place]:
    """Load balancers of a running moto."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            get_session().create_client("elbv2", region_name=_REGION, endpoint_url=url)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield await Balancers(client, session, url).build(await stack.enter_async_context(peers.peer()))


class Controller:
    """What a cluster does with Deployments, as far as a rollback sees it: revisions that go up. It undoes nothing."""

    def __init__(self, api: kubernetes.Api) -> None:
        self._api, self._revision = api, 0
        self.place: Place
        api.after_patch = self._patched

    async def deploy(self, service: str, version: str) -> None:
        if service.endswith("-1"):
            self._api.put(_path("services", service), {"spec": {"selector": {"app": service, "version": version}}})
        else:
            self._revise(service, version)

    def pods(self, service: str, version: str) -> None:
        pod = {
            "metadata": {"labels": {"app": service, "version": version}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        self._api.put(_path("pods", f"{service}-{version}"), pod)

    def _revise(self, service: str, version: str, **kept: str) -> None:
        """The Deployment runs this version, under a new revision."""
        self._revision += 1
        annotations = {**kept, _REVISION: str(self._revision)}
        template = {"metadata": {"labels": {"app": service, "version": version}}, "spec": {"containers": []}}
        path = _path("deployments", service)
        replica_set = {
            "metadata": {
                "labels": {"app": service},
                "annotations": {_REVISION: str(self._revision)},
                "ownerReferences": [{"uid": path}],
            },
            "spec": {"template": template},
        }
        self._api.put(_path("replicasets", f"{service}-{version}"), replica_set)
        spec = {"selector": {"matchLabels": {"app": service}}, "template": template}
        self._api.put(path, {"metadata": {"annotations": annotations}, "spec": spec})
        seen = self._api.get(path)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
        self._api.put(path, {**seen, "status": {**counts, "observedGeneration": seen["metadata"]["generation"]}})

    def _patched(self, path: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        service = path.rsplit("/", 1)[1]
        was, now = _version(before), _version(after)
        if was != now:
            # Also from the baseline to a candidate: that would be one effect too many.
            self.place.undone(service, was, service)
        if "deployments" in path:
            self._revise(service, now, **{k: v for k, v in after["metadata"]["annotations"].items() if k != _REVISION})


def _version(found: dict[str, Any]) -> str:
    spec = found["spec"]
    labels = spec["selector"] if "template" not in spec else spec["template"]["metadata"]["labels"]
    return str(labels["version"])


def _path(plural: str, name: str) -> str:
    group = "apis/apps/v1" if plural in ("deployments", "replicasets") else "api/v1"
    return f"/{group}/namespaces/default/{plural}/{name}"


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Place]:
    """One Service, and Deployments."""
    async with kubernetes.running() as api:
        controller, actions = Controller(api), {}
        for service in named("kubernetes"):
            common = {"kind": "kubernetes", "kubeconfig": str(api.kubeconfig(folder)), "version_label": "version"}
            of = {"service": service, "selector": {"version": "$version"}}
            actions[service] = {**common, **(of if service.endswith("-1") else {"deployment": service})}
            controller.pods(service, BASELINE)
            await controller.deploy(service, BASELINE)
        controller.place = Place(actions, controller.deploy)
        yield controller.place


def named(kind: str) -> list[str]:
    """The services of a kind; each has an action of its own name."""
    return [f"{kind}-{number}" for number in range(1, EACH + 1)]
