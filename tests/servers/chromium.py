"""Chromium without a window, and what an accessibility checker (axe) says of a page in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.servers.programs import require
from tests.servers.waiting import HANGS

expect.set_options(timeout=HANGS * 1000)  # by itself it waits for 5 s, which a page takes on a busy machine
THEMES = ("light", "dark")
WIDTHS = {"desktop": (1280, 800), "phone": (390, 844)}
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium with a profile of its own; it goes when the block ends."""
    program = require("chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=program, args=_QUIET)
        try:
            yield running
        finally:
            await running.close()


async def problems(page: Page) -> list[str]:
    """What axe finds wrong with a page, and a page that scrolls sideways."""
    report = await Axe().run(page)
    found = [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in report.response["violations"]
        for node in violation["nodes"]
    ]
    if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("wider than the screen")
    return found


async def photograph(page: Page, folder: Path, name: str) -> dict[str, list[str]]:
    """Pictures of a page in both themes and widths, and what is wrong with each."""
    found = {}
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for screen, (width, height) in WIDTHS.items():
            await page.set_viewport_size({"width": width, "height": height})
            await page.screenshot(path=folder / f"{name}-{theme}-{screen}.png", full_page=True, animations="disabled")
            if wrong := await problems(page):
                found[f"{theme} {screen}"] = wrong
    return found
