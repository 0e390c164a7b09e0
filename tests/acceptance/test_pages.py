"""The pages in a real browser: alive without a reload, never falsely green, fit for every eye, deaf to hostile text.

The pictures are in the folder that HEALTHD_TEST_PICTURES names, when it names one.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from healthd.web.auth import hash_token
from tests.servers import chromium, daemon
from tests.servers.openid import SECRET, Provider
from tests.servers.waiting import until

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
DATABASE = {"kind": "tcp", "host": "127.0.0.1", "port": 1, "interval": "2s", "timeout": "1s", "fall": 1}
CHECKS = {
    "self": {"kind": "process", "critical": True, "interval": "2s", "timeout": "1s"},
    "memory": {"kind": "memory", "interval": "2s", "timeout": "1s"},
    "backup": {"kind": "heartbeat", "period": "1h", "runbook_url": "https://runbooks.example.org/backup"},
    "database": DATABASE,
}
WINDOW = {"checks": ["memory"], "from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": HOSTILE}
POLICY = {
    "initial_delay": "1s",
    "interval": "1s",
    "observe": {"min": "2s", "max": "1m"},
    "watch": "1m",
    "criteria": [{"kind": "error_rate", "limit": "5%"}, {"kind": "latency", "limit": "500ms"}],
}


@pytest.fixture
def journal(tmp_path: Path) -> dict[str, str]:
    """A journal of the test's own."""
    return {"journal": f"sqlite:///{tmp_path}/journal.db"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("HEALTHD_TEST_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@asynccontextmanager
async def looking(browser: Browser, **options: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page, and the complaints of the browser about it: errors, refused content, alerts that went off."""
    complaints: list[str] = []
    context = await browser.new_context(reduced_motion="reduce", **options)
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    yield page, complaints
    await context.close()


async def test_status_page(pictures: Path, journal: dict[str, str]) -> None:
    """It follows the checks without a reload, says when it no longer hears of them, and comes back."""
    settings = {**journal, "version": HOSTILE, "checks": CHECKS, "maintenance": [WINDOW]}
    async with (
        daemon.running(settings) as healthd,
        aiohttp.ClientSession(headers=daemon.AUTHORIZED) as client,
        chromium.browser() as browser,
        looking(browser) as (page, complaints),
    ):
        await page.clock.install()
        await page.goto(healthd.url)
        await page.evaluate("window.loaded = 1")
        await expect(page.locator("#check-database")).to_contain_text("refused the connection")
        assert await page.locator("#rows tr").first.get_attribute("id") == "check-database"
        await expect(page.locator("#check-backup b")).to_have_text("degraded")
        await client.post(f"{healthd.url}/heartbeats/backup")
        await expect(page.locator("#check-backup b")).to_have_text("healthy")
        await expect(page.locator("#said")).to_contain_text("1 of 4 checks is not healthy: database")
        assert await chromium.photograph(page, pictures, "status") == {}
        await expect(page.get_by_text(HOSTILE).first).to_be_visible()

        await expect(page.locator("#lost")).to_be_hidden()
        healthd.pause()
        await page.clock.fast_forward(15_000)
        await expect(page.locator("#lost")).to_contain_text("What you see was true at")
        await expect(page).to_have_title("Not live · Degraded · development · healthd")
        await expect(page.locator("main")).to_have_css("filter", "grayscale(1) opacity(0.75)")
        assert await chromium.problems(page) == []
        await page.screenshot(path=pictures / "lost.png")
        healthd.resume()
        await expect(page.locator("#lost")).to_be_hidden()

        assert await page.evaluate("window.loaded") == 1
        await healthd.kill()
        await page.clock.fast_forward(15_000)
        await expect(page.locator("#lost")).to_be_visible()
        assert [c for c in complaints if "ERR_" not in c] == []


async def test_long_names_on_a_phone(journal: dict[str, str]) -> None:
    """No page scrolls sideways, and nothing in it is cut off: of 150 checks the failing ones are first, the others
    folded, and a check's failures are readable one below the other."""
    names = [f"payments-and-subscriptions-reconciliation-of-eu-central-{number:03}" for number in range(150)]
    checks: dict[str, Any] = {name: {"kind": "memory"} for name in names}
    checks[names[-1]] = {**DATABASE, "critical": True}
    component = {"name": "Payments-and-subscriptions", "checks": [names[-1]]}
    public = {"shop": {"title": "A shop with a long name", "components": [component]}}
    async with (
        daemon.running({**journal, "checks": checks, "public_pages": public}) as healthd,
        chromium.browser() as browser,
        looking(browser, viewport={"width": 390, "height": 844}) as (page, complaints),
    ):
        await page.goto(healthd.url)
        await expect(page.locator(f"#check-{names[-1]}")).to_contain_text("refused the connection")
        assert await page.locator("#rows tr").first.get_attribute("id") == f"check-{names[-1]}"
        await expect(page.locator(f"#check-{names[0]}")).to_be_hidden()
        assert await chromium.problems(page) == []
        paths = (f"checks/{names[-1]}", f"checks/{names[-1]}/silence", "incidents/page", "status/shop")
        found = {}
        for path in paths:
            await page.goto(f"{healthd.url}/{path}")
            wrong = await chromium.problems(page)  # a check's page is renewed as a whole, and has no focus to lose
            found[path] = [it for it in wrong if not it.startswith("meta-refresh")]
        assert found == {path: [] for path in paths}
        await page.goto(f"{healthd.url}/incidents/page")
        assert await page.locator("select").first.evaluate("it => it.offsetWidth") > 300, "its words are not cut off"
        await page.goto(f"{healthd.url}/{paths[0]}")
        failure = page.locator(".failures td")
        await expect(failure.nth(1)).to_have_text("it lasts")
        heights = [await failure.nth(number).evaluate("it => it.offsetHeight") for number in (0, 1)]
        assert heights[0] == heights[1], "from and to are one line"
        assert complaints == []


async def test_without_javascript(journal: dict[str, str]) -> None:
    """All is there, and a page that is no longer renewed fades by itself."""
    async with (
        daemon.running({**journal, "checks": CHECKS}) as healthd,
        chromium.browser() as browser,
        looking(browser, java_script_enabled=False) as (page, complaints),
    ):
        await page.goto(healthd.url)
        await expect(page.locator("#check-self b")).to_have_text("healthy")
        await expect(page.locator("#lost")).to_be_hidden()
        await healthd.kill()
        animations = await page.context.new_cdp_session(page)
        await animations.send("Animation.enable")
        await animations.send("Animation.setPlaybackRate", {"playbackRate": 100})
        await expect(page.locator("#lost")).to_contain_text("not been renewed for a minute")
        await expect(page.locator("main")).to_have_css("filter", "grayscale(1) opacity(0.75)")
        assert complaints == []


async def test_signing_in(journal: dict[str, str]) -> None:
    """An outsider sees statuses; with a token as the password a browser shows the details, live."""
    tokens = [{"name": "kim", "hash": hash_token("s3cret"), "scopes": ["health:read", "gates:read"]}]
    login: Any = {"username": "kim", "password": "s3cret"}
    async with (
        daemon.running({**journal, "checks": CHECKS, "auth": {"tokens": tokens}}) as healthd,
        chromium.browser() as browser,
        looking(browser, http_credentials=login) as (page, _),
    ):
        await page.goto(healthd.url)
        await expect(page.locator("#check-database")).to_contain_text("connect")
        assert "refused" not in await page.content()
        assert await chromium.problems(page) == []
        await page.get_by_role("link", name="sign in").click()
        await expect(page.locator("#check-database")).to_contain_text("refused the connection")
        await expect(page.locator("#deploys")).to_contain_text("No gate has run yet.")
        await expect(page.locator("#following")).to_have_text(", live")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


async def test_people_sign_in(journal: dict[str, str]) -> None:
    """From the link in a notice to the provider, back to the page, and a button under a name of one's own: no token."""
    settings: dict[str, Any] = {
        **journal,
        "checks": {"self": CHECKS["self"]},
        "services": {"api": {"source": {"kind": "push"}}},
    }
    people = [
        {"name": "sre", "claims": {"groups": "sre"}, "role": "operator"},
        {"name": "staff", "claims": {"email": "*@example.com"}, "role": "viewer"},
    ]
    async with AsyncExitStack() as stack:
        healthd = await stack.enter_async_context(daemon.running(settings))
        provider = await stack.enter_async_context(Provider())
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=daemon.AUTHORIZED))
        provider.redirect_uris, provider.person = {f"{healthd.url}/sign-in/callback"}, None
        sign_in = {"issuer": provider.url, "client_id": provider.client_id, "client_secret": SECRET, "people": people}
        auth = {**daemon.AUTH, "trust_loopback": False, "sign_in": sign_in}
        healthd.configure({**settings, "http": {"external_url": healthd.url}, "auth": auth})
        await until(lambda: "session_secret is missing" in healthd.log(), "it has reloaded")
        asked = {"service": "api", "candidate": {"version": "4.12.0"}}
        async with client.post(f"{healthd.url}/gates/verify", json=asked) as answer:
            gate = f"{healthd.url}/gates/{(await answer.json())['id']}"
        browser = await stack.enter_async_context(chromium.browser())
        async with looking(browser) as (page, complaints):
            await page.goto(f"{gate}/page")
            await expect(page.locator("h1")).to_have_text("Who are you?")
            await page.get_by_role("button", name="Ada").click()
            await expect(page).to_have_url(f"{gate}/page")
            await expect(page.get_by_text("Signed in as sre/ada@example.com")).to_be_visible()
            await expect(page.locator("#following")).to_have_text(", live")
            await expect(page.locator("#token")).to_have_count(0)
            assert await chromium.problems(page) == []
            await page.locator("#reason").fill("checkout fails")
            await page.get_by_label("I mean it").check()
            await page.get_by_role("button", name="Cancel").click()
            await expect(page.locator("h1")).to_have_text("Cancelled")
            await expect(page.locator("#log")).to_contain_text("sre/ada@example.com")
            await page.goto(f"{healthd.url}/checks/self")
            await page.get_by_role("link", name="Silence or acknowledge").click()
            assert await chromium.problems(page) == []
            await page.get_by_label("Reason").fill("being restored")
            await page.get_by_role("button", name="Silence for an hour").click()
            await expect(page).to_have_url(f"{healthd.url}/checks/self")
            await expect(page.locator("main")).to_contain_text("being restored")
            await page.get_by_role("button", name="Sign out").click()
            await expect(page.get_by_role("link", name="sign in")).to_be_visible()
            await expect(page.get_by_text("Signed in as")).to_have_count(0)
            await page.get_by_role("link", name="sign in").click()
            await page.get_by_role("button", name="Bob").click()
            await expect(page.get_by_text("Signed in as staff/bob@example.com")).to_be_visible()
            assert await chromium.problems(page) == []
            assert complaints == []
        async with client.get(f"{healthd.url}/audit?caller=sre/ada@example.com") as answer:
            assert [entry["action"] for entry in (await answer.json())["entries"]] == ["window.add", "gate.cancel"]


async def push(client: aiohttp.ClientSession, gate: str) -> None:
    """What a good release does, twice a second."""
    for number in range(100):
        arm = {"requests": 2000, "errors": 0, "latency": {"edges": [0.1, 0.5], "counts": [1990, 10, 0]}}
        await client.post(f"{gate}/evidence", json={"id": f"p{number}", "candidate": arm})
        await asyncio.sleep(0.5)


async def test_gate_page(pictures: Path, journal: dict[str, str]) -> None:
    """The evidence closes in and the verdict falls before one's eyes, from the first moment to the last."""
    settings = {
        **journal,
        "checks": {"self": CHECKS["self"]},
        "policies": {"quick": POLICY},
        "services": {"api": {"source": {"kind": "push"}, "policy": "quick"}},
    }
    asked = {
        "service": "api",
        "candidate": {"version": "4.12.0"},
        "deployment": {"id": HOSTILE, "url": "javascript:alert(3)", "actor": HOSTILE},
    }
    async with AsyncExitStack() as stack:
        healthd = await stack.enter_async_context(daemon.running(settings))
        browser = await stack.enter_async_context(chromium.browser())
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=daemon.AUTHORIZED))
        async with client.post(f"{healthd.url}/gates/verify", json=asked) as answer:
            gate = f"{healthd.url}/gates/{(await answer.json())['id']}"
        async with looking(browser) as (page, complaints):
            await page.goto(f"{gate}/page")
            await page.evaluate("window.loaded = 1")
            await expect(page.locator("h1")).to_have_text("Observing")
            pushing = asyncio.create_task(push(client, gate))
            await expect(page.locator(".chart .truth").first).to_have_attribute("d", re.compile(r"^M.{40}"))
            await expect(page.locator("h1")).to_have_text("Passed, watched", timeout=20_000)
            await expect(page.locator("#timeline")).to_contain_text("Verdict: pass")
            await expect(page.locator("#said")).to_have_text("Proven safe by every critical criterion.")
            await expect(page.get_by_text(HOSTILE).first).to_be_visible()
            assert await page.evaluate("window.loaded") == 1
            pushing.cancel()
            assert await chromium.photograph(page, pictures, "gate") == {}
            assert complaints == []
            await page.get_by_role("link", name="Status", exact=True).click()
            await expect(page.locator("#deploys")).to_contain_text("Passed, watched")
