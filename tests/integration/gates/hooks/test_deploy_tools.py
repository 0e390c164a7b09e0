"""Deploy tools that use a gate, from the files that ship: a good version is promoted, a bad one goes back, and a daemon
that is killed in between changes nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from ruamel.yaml import YAML

from tests.fakes.deploytools.argo_rollouts import AnalysisRun
from tests.fakes.deploytools.flagger import Flagger
from tests.fakes.deploytools.spinnaker import WebhookStage
from tests.servers.gating import POLICIES, Gating, gating, pushing
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until

FILES = Path(__file__).parents[4] / "deploy" / "hooks"
SHIPPED = "http://healthd.healthd:8080"
INGRESS = "https://healthd.example.com"
INTERVAL = 0.5
TOOLS = ("flagger", "argo", "spinnaker")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gating]:
    """A daemon whose hooks are configured as the files say, one service a tool and outcome."""
    services = {f"{tool}-{outcome}": {"source": {"kind": "push"}, "policy": "patient"} for tool, outcome in CASES}
    patient = {**POLICIES["pushed"], "observe": {"min": "3s", "max": "5m"}}
    names = {tool: {_name(tool, o): {"service": f"{t}-{o}"} for t, o in CASES if t == tool} for tool in TOOLS}
    hooks = {
        "flagger": {"kind": "flagger", "canaries": names["flagger"]},
        "argo": {"kind": "argo_rollouts", "rollouts": names["argo"]},
        "spinnaker": {"kind": "spinnaker", "stages": names["spinnaker"]},
    }
    folder = tmp_path_factory.mktemp("tools")
    async with gating(folder, services=services, hooks=hooks, policies={"patient": patient}, checks={}) as running:
        yield running


CASES = [(tool, outcome) for tool in TOOLS for outcome in ("good", "bad", "killed", "again")]


def _name(tool: str, outcome: str) -> str:
    """What the tool calls that which it deploys."""
    return f"api-{outcome}" if tool == "spinnaker" else f"shop/api-{outcome}"


class Rollout:
    """One tool at work: `ended` is its own word for how it ended."""

    def __init__(self, run: Awaitable[None], ended: Callable[[], str]) -> None:
        self.task = asyncio.ensure_future(run)
        self.ended = ended


def roll_out(tool: str, outcome: str, url: str, token: str) -> tuple[Rollout, Any]:
    """The tool with its shipped file, in which the address, the token and the names are put in."""
    match tool:
        case "flagger":
            text = (FILES / "flagger-canary.yaml").read_text().replace(SHIPPED, url).replace("${HEALTHD_TOKEN}", token)
            canary = YAML(typ="safe").load(text)
            canary["metadata"]["name"] = f"api-{outcome}"
            flagger = Flagger(canary, "85d557f47b", backoff=0.2)
            return Rollout(flagger.roll_out(INTERVAL), lambda: flagger.phase), flagger
        case "argo":
            template = YAML(typ="safe").load((FILES / "argo-analysis-template.yaml").read_text().replace(SHIPPED, url))
            told = {
                "rollout": _name(tool, outcome),
                "revision": "7",
                "version": "6f8b9c7d5",
                "run": "88",
                "token": token,
            }
            analysis = AnalysisRun(template, {**told, "token": token})
            return Rollout(analysis.run(INTERVAL, INTERVAL), lambda: analysis.phase), analysis
        case _:
            text = (FILES / "spinnaker-stage.json").read_text().replace(INGRESS, url)
            context = {"execution.id": "01HZX3", "parameters.version": "1.4.2", "parameters.healthdToken": token}
            stage = WebhookStage(json.loads(text.replace("api-production", _name(tool, outcome))), context)
            return Rollout(stage.run(INTERVAL), lambda: stage.status), stage


PROMOTED = {"flagger": "Succeeded", "argo": "Successful", "spinnaker": "SUCCEEDED"}
WENT_BACK = {"flagger": "Failed", "argo": "Failed", "spinnaker": "TERMINAL"}


async def begun(api: Gating, service: str) -> str:
    """The id of the one gate that the tool began."""

    async def gates() -> list[str]:
        async with api.client() as client:
            return [gate.id for gate in (await client.gates(service=service)).gates]

    while not (found := await gates()):
        await asyncio.sleep(0.1)
    [only] = found
    return only


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("outcome", "bad", "ends"), [("good", 0.0, PROMOTED), ("bad", 0.4, WENT_BACK)])
async def test_tools_do_what_their_gates_say(api: Gating, outcome: str, bad: float, ends: dict[str, str]) -> None:
    """Each with one gate, however often it asked; no token is in the log."""

    async def see_through(tool: str) -> None:
        rollout = roll_out(tool, outcome, api.daemon.url, api.tokens["hooks"])[0]
        gate = await begun(api, f"{tool}-{outcome}")
        async with api.client() as client, pushing(client, gate, bad=bad):
            await rollout.task
        assert rollout.ended() == ends[tool]
        assert await begun(api, f"{tool}-{outcome}") == gate

    await asyncio.gather(*map(see_through, TOOLS))
    assert api.tokens["hooks"] not in api.daemon.log()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_daemon_that_is_killed_loses_no_rollout(api: Gating) -> None:
    """The tools get no answer for a while, behind an ingress that answers 503, and the gates go on where they stood."""
    started = asyncio.Event()

    async def see_through(tool: str) -> None:
        rollout = roll_out(tool, "killed", url, api.tokens["hooks"])[0]
        gates[tool] = await begun(api, f"{tool}-killed")
        await started.wait()
        async with api.client() as client, pushing(client, gates[tool], bad=0.0):
            await rollout.task
        assert rollout.ended() == PROMOTED[tool]
        assert await begun(api, f"{tool}-killed") == gates[tool]

    gates: dict[str, str] = {}
    async with ingress(api.daemon.url) as (url, asked):
        seen = [asyncio.create_task(see_through(tool)) for tool in TOOLS]
        await until(lambda: len(gates) == len(TOOLS), "each tool begins its gate")
        await api.daemon.kill()
        await until(lambda: asked() > 2, "the tools get no answer")
        await api.daemon.start()
        started.set()
        await asyncio.gather(*seen)


@pytest.mark.asyncio(loop_scope="module")
async def test_flagger_sends_no_traffic_to_what_it_rolled_back(api: Gating) -> None:
    """A version in quarantine is not even tried again; once it is released it is, with a gate of its own."""
    rollout, flagger = roll_out("flagger", "again", api.daemon.url, api.tokens["hooks"])
    gate = await begun(api, "flagger-again")
    async with api.client() as client, pushing(client, gate, bad=0.4):
        await rollout.task
    rollout, flagger = roll_out("flagger", "again", api.daemon.url, api.tokens["hooks"])
    steps = []
    while not flagger.is_over:
        steps.append(flagger.weight)
        await asyncio.sleep(INTERVAL / 10)
    await rollout.task
    assert set(steps) == {0}
    assert flagger.events == ["Rolling back: manual webhook invoked"]
    async with api.client() as client:
        await client.unquarantine("flagger-again", "85d557f47b", "it was the network")
        again = Flagger(flagger.canary, "85d557f47b")
        retried = asyncio.create_task(again.roll_out(INTERVAL))
        await until(lambda: _gates(api, "flagger-again", 2), "the version is tried again")
        newest = (await client.gates(service="flagger-again")).gates[0]
        async with pushing(client, newest.id, bad=0.0):
            await retried
    assert again.phase == "Succeeded"


async def _gates(api: Gating, service: str, number: int) -> bool:
    async with api.client() as client:
        return len((await client.gates(service=service)).gates) == number


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancelled_stage_leaves_no_gate_behind(api: Gating) -> None:
    """Spinnaker tells by the execution's id; nobody knows the gate's."""
    text = (FILES / "spinnaker-stage.json").read_text().replace(INGRESS, api.daemon.url)
    context = {"execution.id": "01J000", "parameters.version": "1.4.3", "parameters.healthdToken": api.tokens["hooks"]}
    cancelled = WebhookStage(json.loads(text.replace("api-production", "api-again")), context)
    await cancelled.create()
    await cancelled.monitor()
    assert cancelled.status == "RUNNING"
    await cancelled.cancel()
    async with api.client() as client:
        newest = (await client.gates(service="spinnaker-again")).gates[0]
    assert (newest.candidate.version, newest.verdict) == ("1.4.3", "cancelled")


@asynccontextmanager
async def ingress(upstream: str) -> AsyncIterator[tuple[str, Callable[[], int]]]:
    """What stands before a service, and how often it was asked in vain. Nobody being there is a 503: at once the first
    times, later only after a while, so that it does not matter how long a daemon takes to start."""
    missed = 0

    async def forward(request: web.Request) -> web.Response:
        nonlocal missed
        kept = {
            key: value for key, value in request.headers.items() if key in ("Authorization", "Content-Type", "Host")
        }
        body = await request.read()
        tries = 1 if missed < 3 else 40
        for _ in range(tries):
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.request(request.method, upstream + request.path_qs, data=body, headers=kept) as response,
                ):
                    named = {k: response.headers[k] for k in ("Location", "Content-Type") if k in response.headers}
                    return web.Response(status=response.status, body=await response.read(), headers=named)
            except aiohttp.ClientError:
                await asyncio.sleep(0.2)
        missed += 1
        return web.Response(status=503)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    try:
        yield f"http://{HOST}:{port}", lambda: missed
    finally:
        await runner.cleanup()
