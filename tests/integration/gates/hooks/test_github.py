"""A deployment protection rule: GitHub asks, hangs up, and is called back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.gating import Gating, gating, pushing
from tests.servers.github import SECRET, GitHub
from tests.servers.peers import Answer, peer
from tests.servers.waiting import until

RULES = [
    {"environment": "production", "service": "api-0", "policy": "green"},
    {"environment": "staging", "service": "api-1", "policy": "red"},
    {"environment": "canary", "service": "api-2", "policy": "pushed"},
]


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[tuple[Gating, GitHub, str]]:
    """A daemon, a GitHub, and where the one hears the other."""
    async with peer() as answering:
        github = GitHub(answering)
        async with gating(folder, hooks={"github": github.hook(rules=RULES)}) as api:
            yield api, github, f"{api.daemon.url}/hooks/github/github"
        assert github.wrong == []


async def reviewed(github: GitHub, run: str, environment: str = "production") -> str:
    """The state of a review, once there is one."""
    place = (run, environment)
    await until(lambda: place in github.reviews and github.reviews[place].state is not None, "a review")
    return str(github.reviews[place].state)


async def test_a_good_version_is_approved_and_a_bad_one_rejected(tmp_path: Path) -> None:
    """As the app, with a comment that says why, and nothing secret in the log."""
    async with asking(tmp_path) as (api, github, url):
        assert await github.ask(url, "100") == 202
        assert await github.ask(url, "101", environment="staging") == 202
        assert await github.ask(url, "102", environment="nowhere") == 202
        assert await reviewed(github, "100") == "approved"
        assert await reviewed(github, "101", "staging") == "rejected"
        assert await reviewed(github, "102", "nowhere") == "rejected"
        assert "No rule is for the environment nowhere" in github.reviews["102", "nowhere"].comment
        approved = github.reviews["100", "production"]
        gates = (await api.call("GET", "/gates?service=api-0")).body["gates"]
        assert gates[0]["id"] in approved.comment
        assert gates[0]["deployment"]["id"] == "octo/api run 100"
        log = api.daemon.log()
        assert not any(secret in log for secret in (SECRET, "ghs_", "PRIVATE KEY"))


async def test_deliveries_again_and_a_job_again(tmp_path: Path) -> None:
    """A redelivery is the same request; a job that is run again asks for another deployment."""
    async with asking(tmp_path) as (api, github, url):
        asked = [github.ask(url, "200", delivery=str(number)) for number in range(4)]
        assert await asyncio.gather(*asked) == [202] * 4
        assert await reviewed(github, "200") == "approved"
        assert await github.ask(url, "200", delivery="9") == 202
        again = {"id": 4711, "sha": "a" * 40, "ref": "main"}
        assert await github.ask(url, "200", deployment=again) == 202
        await until(lambda: _gates(api, "api-0", 2), "another gate")
        assert len((await api.call("GET", "/gates?service=api-0")).body["gates"]) == 2


async def _gates(api: Gating, service: str, count: int) -> bool:
    return len((await api.call("GET", f"/gates?service={service}")).body["gates"]) == count


async def test_a_crash_and_a_github_that_is_down_lose_nothing(tmp_path: Path) -> None:
    """Killed while the gate runs, and again while GitHub is down: the answer comes when both are back, and once."""
    async with asking(tmp_path) as (api, github, url):
        assert await github.ask(url, "300", environment="canary") == 202
        await until(lambda: _gates(api, "api-2", 1), "the gate")
        gate = (await api.call("GET", "/gates?service=api-2")).body["gates"][0]["id"]
        await until(lambda: bool(github.reviews), "a report of how it goes")
        assert gate in github.reviews["300", "canary"].reports[0]
        await api.daemon.kill()
        github.is_down = True
        await api.daemon.start()
        async with api.client() as client, pushing(client, gate, bad=0.0):
            assert (await client.verdict(gate)).verdict == "pass"
        asked = len(github.peer.received)
        await until(lambda: len(github.peer.received) > asked, "a try")
        await api.daemon.kill()
        await api.daemon.start()
        github.is_down = False
        assert await reviewed(github, "300", "canary") == "approved"


async def test_a_crash_while_the_answer_is_on_its_way_repeats_it(tmp_path: Path) -> None:
    """GitHub took it and the daemon never heard so: it hears the same again, and nothing else."""
    async with asking(tmp_path) as (api, github, url):
        place = "/repos/octo/api/actions/runs/400/deployment_protection_rule"
        taken: list[Any] = []

        def slowly(received: Any) -> Answer:
            taken.append(received.json())
            return Answer(204, delay=5.0 if "state" in taken[-1] else 0.0)

        github.peer.answer("POST", place, slowly)
        assert await github.ask(url, "400") == 202
        await until(lambda: any("state" in body for body in taken), "the answer")
        await api.daemon.kill()

        def at_once(received: Any) -> Answer:
            taken.append(received.json())
            return Answer(204)

        github.peer.answer("POST", place, at_once)
        await api.daemon.start()
        said = [body["state"] for body in taken if "state" in body]
        assert said == ["approved"]
        await until(lambda: sum("state" in body for body in taken) == 2, "the answer again")
        assert {body["state"] for body in taken if "state" in body} == {"approved"}


@pytest.mark.parametrize("event", ["ping", "push"])
async def test_other_events_are_answered(tmp_path: Path, event: str) -> None:
    """The ping of a new webhook, and what the app was subscribed to by mistake; a stranger's are not."""
    async with asking(tmp_path) as (_, github, url):
        body = json.dumps({"zen": "Keep it logically awesome.", "hook_id": 1}).encode()
        assert await github.send(url, event, body) == 200
        assert await github.send(url, event, body, secret="the secret of somebody else") == 401
        assert await github.send(f"{url}-2", event, body) == 404
        evil = "https://evil.example/repos/octo/api/actions/runs/1/deployment_protection_rule"
        assert await github.ask(url, "500", deployment_callback_url=evil) == 422
        too_long = await github.send(url, "deployment_protection_rule", b" " * (3 * 1024**2))
        assert too_long == 413
        as_a_form = await github.send(url, event, b"payload=%7B%7D")
        assert as_a_form == 415
