"""A night shift, by two replicas on one PostgreSQL: a version passes its gate and breaks what no gate looks at; whoever
is woken goes from the notice to the rollback, on the replica that did not tell, in a browser and in a terminal."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import expect

from healthd.web.auth import hash_token
from tests.acceptance.guide import Shell, blocks_of, carry_out
from tests.acceptance.test_pages import looking
from tests.acceptance.test_rollback import POLICY, Stage, staged
from tests.servers import chromium, daemon, tcp
from tests.servers.daemon import Daemon
from tests.servers.openid import ADA, SECRET, Provider
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port
from tests.servers.requests import Load
from tests.servers.waiting import until

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbooks" / "night-shift.md"
_ONCE_MORE = """$ healthd gate rollback --last shop --yes --reason "once more" 2>&1
nothing was ordered: gate … stands at 'rolled back', and 'once more' is not stored
…Rolled back: ada called for it: checkout fails since 1.1…
"""
_QUIET = 4.0  # seconds: twice what a notifier waits, and what another replica needs to see it


@dataclass(frozen=True)
class Night:
    """What is there when the telephone rings. `front` is the address that people know."""

    stage: Stage
    pager: Peer
    front: str
    told: Daemon
    other: Daemon
    provider: Provider
    client: aiohttp.ClientSession

    def notices(self) -> list[tuple[str, str]]:
        """What was told so far, each by its type and subject."""
        return [(event["type"], event["subject"]) for event in self.events()]

    def events(self) -> list[Any]:
        """What the pager was sent; neither a call that broke off nor one of a test that had this port before."""
        return _events(self.pager)

    @property
    def link(self) -> str:
        """The link in the first notice."""
        link = self.events()[0]["data"]["page"]
        assert isinstance(link, str)
        return link

    async def check(self, replica: Daemon) -> dict[str, Any]:
        async with self.client.get(f"{replica.url}/health") as answer:
            found: dict[str, Any] = (await answer.json())["checks"]["checkout"]
            return found

    async def until_each_sees(self, status: str) -> None:
        async def they_do() -> bool:
            return [(await self.check(it))["status"] for it in (self.told, self.other)] == [status, status]

        await until(they_do, f"both replicas see checkout {status}")

    async def rolled_back(self) -> dict[str, Any]:
        """The gate of the night, once its rollback is confirmed."""
        gate: dict[str, Any] = {}

        async def is_over() -> bool:
            async with self.client.get(f"{self.told.url}/gates?service=shop") as answer:
                gate.update((await answer.json())["gates"][0])
            return gate["rollback"] is not None and gate["state"] == "finished"

        await until(is_over, lambda: f"the rollback is over: {gate}")
        assert gate["rollback"]["state"] == "rolled_back", gate["rollback"]
        return gate

    async def audit(self, caller: str) -> list[tuple[str, str]]:
        """What a caller did, the first first, by the word of the replica that told: each action and its reason."""
        async with self.client.get(f"{self.told.url}/audit", params={"caller": caller}) as answer:
            entries = (await answer.json())["entries"]
        return [(it["action"], it["detail"].get("reason", "")) for it in reversed(entries)]

    async def silence_holds_and_ends(self, author: str) -> None:
        """What fails again is told by neither replica while the silence holds, and once when it ends."""
        await until(lambda: ("healthd.check.over", "checkout") in self.notices(), "the end is told, in the silence too")
        before = self.notices()
        self.stage.switch("green")
        await self.until_each_sees("unhealthy")
        for replica in (self.told, self.other):

            async def silenced(replica: Daemon = replica) -> bool:
                return bool((await self.check(replica)).get("silenced", {}).get("by") == author)

            await until(silenced, "the replica says who has silenced it")
        await asyncio.sleep(_QUIET)
        assert self.notices() == before
        async with self.client.get(f"{self.other.url}/windows") as answer:
            (window,) = (await answer.json())["windows"]
        async with self.client.delete(f"{self.other.url}/windows/{window['id']}") as answer:
            assert answer.status == 200
        await until(lambda: self.notices() != before, "what still fails is told when the silence ends")
        await asyncio.sleep(_QUIET)
        assert self.notices() == [*before, ("healthd.check.firing", "checkout")]


def _events(pager: Peer) -> list[Any]:
    return [json.loads(request.body) for request in pager.received if request.path == "/page" and request.body]


@asynccontextmanager
async def night(folder: Path, journal: str, pager: Peer) -> AsyncIterator[Night]:
    """Both replicas are live, 1.1 is on and has passed, its checkout is broken, and one replica has told."""
    async with AsyncExitStack() as stack:
        stage = stack.enter_context(staged(folder))
        front = await stack.enter_async_context(tcp.proxy(free_port()))
        provider = await stack.enter_async_context(Provider())
        address = f"http://{front.host}:{front.port}"
        provider.redirect_uris, provider.person = {f"{address}/sign-in/callback"}, None
        pager.answer("POST", "/page", Answer(status=202))
        configuration = _configuration(stage, journal, address, pager, provider)
        await stack.enter_async_context(Load(stage.balancer.url).running())
        one, two = [
            await stack.enter_async_context(daemon.running(configuration, env=stage.environment)) for _ in range(2)
        ]
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=daemon.AUTHORIZED))
        stage.switch("green")
        arms = {"candidate": ("1.1", "green"), "baseline": ("1.0", "blue")}
        asked = {"service": "shop", **{arm: {"version": it, "target": at} for arm, (it, at) in arms.items()}}
        async with client.post(f"{one.url}/gates/verify?wait=60s", json=asked) as answer:
            gate = await answer.json()
            assert (gate["verdict"], gate["state"]) == ("pass", "watching"), gate
        await until(lambda: _events(pager) != [], "the failure is told")
        teller = one if await _has_told(client, one) else two
        other = two if teller is one else one
        front.lead_to(other.port)
        yield Night(stage, pager, address, teller, other, provider, client)


def _configuration(stage: Stage, journal: str, front: str, pager: Peer, provider: Provider) -> dict[str, Any]:
    tokens = [*daemon.AUTH["tokens"], {"name": "ada", "hash": hash_token("of-ada"), "role": "operator"}]  # type: ignore[misc]
    sign_in = {
        "issuer": provider.url,
        "client_id": provider.client_id,
        "client_secret": SECRET,
        "session_secret": "0123456789abcdef" * 4,
        "people": [{"name": "on-call", "claims": {"email": ADA["email"]}, "role": "operator"}],
    }
    checkout = {
        "kind": "http",
        "url": f"{stage.balancer.url}/checkout",
        "expect": {"contains": "1.0"},  # the button that 1.1 has lost
        "interval": "1s",
        "timeout": "900ms",
        "fall": 2,
        "rise": 1,
    }
    return {
        **stage.configuration(),
        "journal": journal,
        "http": {"external_url": front},
        "auth": {"trust_loopback": False, "tokens": tokens, "sign_in": sign_in},
        "checks": {"checkout": checkout},
        "policies": {"quick": {**POLICY, "watch": "1h"}},
        "notifiers": {"pager": {"kind": "webhook", "url": f"{pager.url}/page", "group_wait": "1s"}},
        "routes": [{"to": "pager", "checks": "*"}],
    }


async def _has_told(client: aiohttp.ClientSession, replica: Daemon) -> bool:
    async with client.get(f"{replica.url}/metrics") as answer:
        told = re.search(r'healthd_notifications_total{notifier="pager",outcome="sent"} (\S+)', await answer.text())
    return told is not None and float(told[1]) > 0


async def test_in_a_browser(tmp_path: Path, postgresql_dsn: str, peer: Peer) -> None:
    """By links and buttons alone, from the one in the notice on, signed in at the provider as a person, whose name the
    audit has for each."""
    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(night(tmp_path, postgresql_dsn, peer))
        browser = await stack.enter_async_context(chromium.browser())
        page, complaints = await stack.enter_async_context(looking(browser))
        await page.goto(it.link)
        await page.get_by_role("button", name="Ada").click()
        await expect(page.locator("h1")).to_have_text("checkout is unhealthy")
        await expect(page.get_by_text("Signed in as on-call/ada@example.com")).to_be_visible()
        for button, reason in (("Acknowledge", "looking into it"), ("Silence for an hour", "rolling back")):
            await page.get_by_role("link", name="Silence or acknowledge").click()
            await page.get_by_label("Reason").fill(reason)
            await page.get_by_role("button", name=button).click()
            await expect(page.locator("main")).to_contain_text(reason)
        await page.get_by_role("link", name="Status page").click()
        await page.locator("#deploys").get_by_role("link", name="shop 1.1").click()
        await expect(page.locator("h1")).to_have_text("Passed, watched")
        await page.get_by_label("Reason").fill("checkout fails since 1.1")
        await page.get_by_label("I mean it").check()
        await page.get_by_role("button", name="Roll back now").click()
        await it.rolled_back()
        await expect(page.locator("h1")).to_have_text("Passed, rolled back")
        assert complaints == []
        await it.until_each_sees("healthy")
        assert await it.audit("on-call/ada@example.com") == [
            ("window.add", "looking into it"),
            ("window.add", "rolling back"),
            ("gate.rollback", "checkout fails since 1.1"),
        ]
        await it.silence_holds_and_ends("on-call/ada@example.com")


async def test_in_a_terminal(tmp_path: Path, postgresql_dsn: str, peer: Peer) -> None:
    """By the commands of the runbook as they stand."""
    ((_, commands),) = blocks_of(RUNBOOK.read_text(encoding="utf-8"))
    async with night(tmp_path, postgresql_dsn, peer) as it:
        shell = Shell(tmp_path, it.front, HEALTHD_TOKEN="of-ada")
        try:
            await asyncio.to_thread(carry_out, shell, commands)
            await it.rolled_back()
            await asyncio.to_thread(carry_out, shell, _ONCE_MORE)
        finally:
            await asyncio.to_thread(shell.close)
        await it.until_each_sees("healthy")
        reasons = ["looking into it", "rolling back", "checkout fails since 1.1"]
        assert [reason for _, reason in await it.audit("ada")] == reasons
        await it.silence_holds_and_ends("ada")
