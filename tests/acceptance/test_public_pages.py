"""The public pages in a real browser, from two daemons that share a journal."""

from pathlib import Path
from typing import Any

from playwright.async_api import expect

from tests.acceptance.test_pages import CHECKS, HOSTILE, journal, looking, pictures
from tests.servers import chromium, daemon

__all__ = ["journal", "pictures"]
COMPONENTS = [
    {"name": "Checkout", "description": "Carts and payments", "checks": ["self"]},
    {"name": "Search with a name that is as long as names of components can be, or so", "checks": ["database"]},
    {"name": "Letters", "checks": ["memory"]},
]
WINDOW = {"checks": ["memory"], "from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": HOSTILE}


async def test_from_the_form_to_the_customer(pictures: Path, journal: dict[str, str]) -> None:
    """What somebody publishes by a form of one daemon is on the page of the other within seconds, in the browser's
    language, at every width and in both themes, without a fault that axe sees; and gone once it is withdrawn."""
    page_of_shop = {"title": "Shop", "announcement": "Closed on Sunday.", "components": COMPONENTS}
    settings: dict[str, Any] = {
        **journal,
        "checks": CHECKS,
        "maintenance": [WINDOW],
        "public_pages": {"shop": page_of_shop},
    }
    async with (
        daemon.running(settings) as one,
        daemon.running({**settings, "http": {"external_url": "https://healthd.example.com"}}) as other,
        chromium.browser() as browser,
        looking(browser, locale="de-DE") as (customer, complaints),
        looking(browser) as (writer, more_complaints),
    ):
        await writer.goto(f"{one.url}/incidents/page")
        await writer.get_by_label("Title").fill("Payments fail")
        await writer.get_by_label("First update").fill(f"We look into it.\n{HOSTILE}")
        await writer.get_by_label("What is affected").select_option("Checkout")
        await writer.get_by_label("Impact; none announces").select_option("outage")
        await writer.get_by_label("Your token").fill(daemon.TOKEN)
        await writer.get_by_role("button", name="Publish", exact=True).click()
        await expect(writer.get_by_role("heading", name="Payments fail")).to_be_visible()
        assert await chromium.photograph(writer, pictures, "incidents") == {}

        await customer.goto(f"{other.url}/status/shop")
        incident = customer.get_by_role("article").filter(has_text="Payments fail")
        await _reloaded_until(customer, incident)
        await expect(customer.locator("html")).to_have_attribute("lang", "de")
        await expect(customer.locator(".told")).to_have_text("Einige Systeme sind ausgefallen")
        await expect(incident).to_contain_text("Wird untersucht")
        await expect(incident.get_by_text(HOSTILE)).to_be_visible()
        await expect(customer.get_by_role("link", name="Atom")).to_be_visible()
        assert await chromium.photograph(customer, pictures, "public") == {}

        await customer.get_by_role("link", name="Français").click()
        await expect(customer.locator(".told")).to_have_text("Certains systèmes sont en panne")

        await writer.get_by_text("Withdraw it").click()
        await writer.get_by_label("It should never have been there").check()
        await writer.get_by_label("Your token").first.fill(daemon.TOKEN)
        await writer.get_by_role("button", name="Take it from the page").click()
        await expect(writer.get_by_role("heading", name="Payments fail")).to_have_count(0)
        await _reloaded_until(customer, customer.get_by_role("article"), count=0)
        assert complaints + more_complaints == []


async def test_a_tab_that_was_left_open_does_not_look_like_now(journal: dict[str, str]) -> None:
    """Without JavaScript it fades after five minutes."""
    settings = {**journal, "checks": CHECKS, "public_pages": {"shop": {"components": COMPONENTS}}}
    async with (
        daemon.running(settings) as healthd,
        chromium.browser() as browser,
        looking(browser, java_script_enabled=False) as (page, complaints),
    ):
        await page.goto(f"{healthd.url}/status/shop")
        await expect(page.locator(".headline")).to_have_css("filter", "none")
        animations = await page.context.new_cdp_session(page)
        await animations.send("Animation.enable")
        await animations.send("Animation.setPlaybackRate", {"playbackRate": 500})
        await expect(page.locator(".headline")).to_have_css("filter", "grayscale(1) opacity(0.75)")
        assert complaints == []


async def _reloaded_until(page: Any, locator: Any, count: int = 1) -> None:
    """Reload a page, as its link does, until something is there so many times."""
    for _ in range(60):
        if await locator.count() == count:
            return
        await page.wait_for_timeout(500)
        await page.get_by_role("link", name="Neu laden").or_(page.get_by_role("link", name="Recharger")).click()
    await expect(locator).to_have_count(count)
