"""An Application Load Balancer's traffic: requests go where the listener in moto says, to healthy targets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
from aiohttp import web

from tests.servers.aws import Front
from tests.servers.ports import HOST, free_port


@dataclass
class Balancer:
    """Reads the listener and its groups again after every change that the front has seen."""

    front: Front
    elbv2: Any
    """A client of moto itself, whose calls are not recorded."""
    listener: str
    port: int = 0
    weights: dict[str, int] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    _turn: count = field(default_factory=count)  # type: ignore[type-arg]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def read(self) -> None:
        answer = await self.elbv2.describe_listeners(ListenerArns=[self.listener])
        (action,) = answer["Listeners"][0]["DefaultActions"]
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [{**action, "Weight": 1}]
        self.weights = {group["TargetGroupArn"]: group["Weight"] for group in groups}
        for arn in self.weights:
            found = await self.elbv2.describe_target_health(TargetGroupArn=arn)
            self.members[arn] = [one["Target"]["Id"] for one in found["TargetHealthDescriptions"]]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        turn = next(self._turn)
        slots = [arn for arn, weight in self.weights.items() for _ in range(weight)]
        able = self.members[slots[turn * 7 % len(slots)]]
        for step in range(len(able)):
            instance = self.front.instances[able[(turn + step) % len(able)]]
            instance.in_hand += 1
            try:
                async with self.front.client.get(instance.url + request.path) as answer:
                    if answer.status != 503:  # one that is not healthy gets nothing
                        return web.Response(status=answer.status, text=await answer.text())
            except aiohttp.ClientError:
                continue
            finally:
                instance.in_hand -= 1
        return web.Response(status=503, text="no healthy target")


@asynccontextmanager
async def balancing(front: Front, elbv2: Any, listener: str) -> AsyncIterator[Balancer]:
    """The listener's traffic on a free port."""
    balancer = Balancer(front, elbv2, listener)
    await balancer.read()
    front.changed = balancer.read
    application = web.Application()
    application.router.add_get("/{path:.*}", balancer.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, free_port()).start()
    balancer.port = runner.addresses[0][1]
    try:
        yield balancer
    finally:
        await runner.cleanup()
