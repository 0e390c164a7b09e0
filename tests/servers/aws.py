"""AWS's APIs by moto, with what it lacks in front of it: targets whose health is asked for and who drain, an agent that
runs the commands of Systems Manager for real, and calls that fail when a test wants it.

Every call goes on to moto and is recorded. `balancer.py` forwards requests as the listener says.
"""

import asyncio
import json
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

from tests.servers.instances import Instance, Run
from tests.servers.moto import Moto
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import HANGS

_CHANGES = ("Modify", "Register", "Deregister")


@dataclass(frozen=True)
class Failure:
    """What a call is answered with instead. With `lost` it is carried out, and only its answer is."""

    status: int
    code: str
    lost: bool = False


@dataclass
class Ordered:
    """A command, and its run on each instance."""

    comment: str
    runs: list[Run]

    @property
    def status(self) -> str:
        return "Success" if all(run.ended for run in self.runs) else "InProgress"


@dataclass
class Front:
    """What the tools take for AWS. `calls` are the actions as IAM names them, in their order."""

    moto: Moto
    client: aiohttp.ClientSession
    instances: dict[str, Instance] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    failures: defaultdict[str, deque[Failure]] = field(default_factory=lambda: defaultdict(deque))
    commands: dict[str, Ordered] = field(default_factory=dict)
    draining: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    changed: Callable[[], Awaitable[None]] | None = None
    port: int = 0
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def fail(self, call: str, *failures: Failure) -> None:
        """Answer the next calls of that name so, in this order."""
        self.failures[call].extend(failures)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        service = request.headers["Authorization"].split("Credential=")[1].split("/")[3]
        target = request.headers.get("X-Amz-Target", "")
        action = target.rpartition(".")[2] or parse_qs(body.decode())["Action"][0]
        call = f"{service}:{action}"
        self.calls.append(call)
        failure = self.failures[call].popleft() if self.failures[call] else None
        if failure is not None and not failure.lost:
            return _refused(failure, is_json=bool(target))
        response = await self._answered(request, action, body)
        if action.startswith(_CHANGES) and self.changed is not None:
            await self.changed()
        return _refused(failure, is_json=bool(target)) if failure is not None else response

    async def _answered(self, request: web.Request, action: str, body: bytes) -> web.Response:
        match action:
            case "SendCommand":
                return self._send_command(json.loads(body))
            case "ListCommands" | "ListCommandInvocations" | "CancelCommand":
                return _json(getattr(self, f"_{action}")(json.loads(body)))
            case "DeregisterTargets":
                fields = {key: values[0] for key, values in parse_qs(body.decode()).items()}
                gone = {value for key, value in fields.items() if key.endswith(".Id")}
                self.draining[fields["TargetGroupArn"]] |= gone
            case "DescribeTargetHealth":
                return await self._target_health(request, body)
        return await self._by_moto(request, body)

    async def _by_moto(self, request: web.Request, body: bytes) -> web.Response:
        headers = {key: value for key, value in request.headers.items() if key.lower() != "host"}
        async with self.client.post(self.moto.url, data=body, headers=headers) as answer:
            kept = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    def _send_command(self, asked: dict) -> web.Response:  # type: ignore[type-arg]
        if unknown := set(asked["InstanceIds"]) - set(self.instances):
            return _refused(Failure(400, "InvalidInstanceId"), is_json=True, message=f"not managed: {unknown}")
        script = "\n".join(asked["Parameters"]["commands"])
        runs = [Run(self.instances[instance], script) for instance in asked["InstanceIds"]]
        name = str(uuid.uuid4())
        self.commands[name] = Ordered(asked.get("Comment", ""), runs)
        for run in runs:
            task = asyncio.create_task(run.carry_out())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return _json({"Command": {"CommandId": name, "InstanceIds": asked["InstanceIds"], "Status": "Pending"}})

    def _ListCommands(self, asked: dict) -> object:  # type: ignore[type-arg]  # noqa: N802 - as the API has it
        found = [
            {
                "CommandId": name,
                "Comment": ordered.comment,
                "Status": ordered.status,
                "InstanceIds": [run.instance.id for run in ordered.runs],
            }
            for name, ordered in self.commands.items()
            if {"key": "ExecutionStage", "value": "Executing"} in asked["Filters"] and ordered.status == "InProgress"
        ]
        return {"Commands": found}

    def _ListCommandInvocations(self, asked: dict) -> object:  # type: ignore[type-arg]  # noqa: N802
        found = [
            {
                "CommandId": asked["CommandId"],
                "InstanceId": run.instance.id,
                "Status": run.status,
                "StatusDetails": run.status,
                "CommandPlugins": [
                    {"Name": "sh", "Status": run.status, "ResponseCode": run.code, "Output": run.output[-2500:]}
                ],
            }
            for run in self.commands[asked["CommandId"]].runs
        ]
        return {"CommandInvocations": found}

    def _CancelCommand(self, asked: dict) -> object:  # type: ignore[type-arg]  # noqa: N802
        for run in self.commands[asked["CommandId"]].runs:
            run.cancel()
        return {}

    async def _target_health(self, request: web.Request, body: bytes) -> web.Response:
        """Who is registered, by moto; how they are, by asking them."""
        group = parse_qs(body.decode())["TargetGroupArn"][0]
        answer = (await self._by_moto(request, body)).text or ""
        if "<TargetHealthDescriptions" not in answer:
            return await self._by_moto(request, body)
        registered = [part.partition("</Id>")[0] for part in answer.split("<Id>")[1:]]
        members = [_member(self.instances[one], await self.health(one), "") for one in registered]
        for left in sorted(self.draining[group] - set(registered)):
            members.append(_member(self.instances[left], "draining", "Target.DeregistrationInProgress"))
            if not self.instances[left].in_hand:
                self.draining[group].discard(left)
        found = f"<TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>"
        result = f"<DescribeTargetHealthResult>{found}</DescribeTargetHealthResult>"
        return web.Response(
            text=f"<DescribeTargetHealthResponse>{result}</DescribeTargetHealthResponse>", content_type="text/xml"
        )

    async def health(self, instance: str) -> str:
        """As a load balancer finds out."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self.client.get(f"{self.instances[instance].url}/health") as answer:
                return "healthy" if answer.status == 200 else "unhealthy"
        return "unhealthy"


def _member(instance: Instance, state: str, reason: str) -> str:
    target = f"<Target><Id>{instance.id}</Id><Port>3000</Port></Target>"
    why = f"<Reason>{reason}</Reason>" if reason else ""
    return f"<member>{target}<TargetHealth><State>{state}</State>{why}</TargetHealth></member>"


def _json(content: object) -> web.Response:
    return web.Response(text=json.dumps(content), content_type="application/x-amz-json-1.1")


def _refused(failure: Failure, *, is_json: bool, message: str = "as the test wants it") -> web.Response:
    if is_json:
        text = json.dumps({"__type": failure.code, "message": message})
        return web.Response(status=failure.status, text=text, content_type="application/x-amz-json-1.1")
    error = f"<Error><Code>{failure.code}</Code><Message>{message}</Message></Error>"
    text = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"
    return web.Response(status=failure.status, text=text, content_type="text/xml")


@asynccontextmanager
async def front(moto: Moto) -> AsyncIterator[Front]:
    """AWS on a free port."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(HANGS)) as client:
        answering = Front(moto, client)
        application = web.Application()
        application.router.add_post("/{path:.*}", answering.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, free_port()).start()
        answering.port = runner.addresses[0][1]
        try:
            yield answering
        finally:
            for ordered in answering.commands.values():
                for run in ordered.runs:
                    run.cancel()
            await runner.cleanup()
