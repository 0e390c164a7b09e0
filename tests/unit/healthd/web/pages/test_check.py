"""The page of a check and its badges: what they say, and to whom."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from healthd.model import FailureKind, Result
from tests.fakes.monitoring import SLOW, UP
from tests.unit.healthd.web.conftest import Open, bearer
from tests.unit.healthd.web.pages.test_status import HOSTILE, basic
from tests.unit.healthd.web.test_history_api import _outage, opened, store


async def test_the_page_shows_the_past(open_site: Open, tmp_path: Path) -> None:
    """Uptime, failures with their first message, when it was last healthy; the status page leads to it."""
    site, client = await opened(open_site, tmp_path)
    site.put("db", Result.unhealthy(FailureKind.CONNECT, HOSTILE))
    await store(site, *_outage("db", 12, 2.4))
    async with client.get("/checks/db", headers=basic("reader")) as response:
        html = await response.text()
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    for said in ("db is unhealthy", "90.000 %", "connection refused", "Last healthy", "&lt;script&gt;"):
        assert said in html
    assert HOSTILE not in html
    assert '<a href="/checks/db">db</a>' in await (await client.get("/", headers=bearer("reader"))).text()


async def test_who_may_not_see_details_sees_no_past(open_site: Open) -> None:
    """A browser is asked for a token; the status page leads there only who sees it."""
    _site, client = await open_site()
    for path in ("/checks/db", "/badges/db.svg?uptime=30d"):
        async with client.get(path) as response:
            assert (response.status, "Basic" in response.headers["WWW-Authenticate"]) == (401, True)
        assert (await client.get(path, headers=bearer("runner"))).status == 403
    assert "/checks/" not in await (await client.get("/")).text()


async def test_the_page_is_there_without_the_journal(open_site: Open) -> None:
    """With what is known from memory, and why there is no more."""
    site, client = await open_site()
    site.put("db", UP)
    html = await (await client.get("/checks/db", headers=bearer("reader"))).text()
    assert "db is healthy" in html
    assert "The past is not known now: the journal cannot be read" in html
    assert (await client.get("/badges/db.svg?uptime=7d", headers=bearer("reader"))).status == 503


async def test_badges_say_the_status_to_everyone(open_site: Open) -> None:
    """As the status page does, and from memory."""
    site, client = await open_site()
    site.put("mail", SLOW)
    for name, word in (("mail", "degraded"), ("db", "unknown")):
        async with client.get(f"/badges/{name}.svg") as response:
            assert (response.status, response.content_type) == (200, "image/svg+xml")
            image = ET.fromstring(await response.text())
            assert image.get("aria-label") == f"{name}: {word}"
            assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("period", "share"), [("24h", "90.000 %"), ("7d", "98.571 %")])
async def test_badges_say_the_uptime(open_site: Open, tmp_path: Path, period: str, share: str) -> None:
    """To who sees details."""
    site, client = await opened(open_site, tmp_path, http={"details": "always"})
    site.put("db", UP)
    await store(site, *_outage("db", 12, 2.4))
    image = ET.fromstring(await (await client.get(f"/badges/db.svg?uptime={period}")).text())
    assert image.get("aria-label") == f"db {period}: {share}"


async def test_an_uptime_of_a_few_minutes_is_marked(open_site: Open, tmp_path: Path) -> None:
    """As after the first start: of 30 days nearly nothing is known."""
    site, client = await opened(open_site, tmp_path, http={"details": "always"})
    site.put("db", UP)
    site.clock.seconds += 5
    assert "db 30d: 100.000 % *" in await (await client.get("/badges/db.svg?uptime=30d")).text()
    assert "100.000 % *" in await (await client.get("/checks/db")).text()


async def test_mistakes_are_explained(open_site: Open) -> None:
    """A name that is not there, with the nearest; a period that there is not."""
    _site, client = await open_site(http={"details": "always"})
    assert "Did you mean mail?" in await (await client.get("/badges/mali.svg")).text()
    assert (await client.get("/checks/mali")).status == 404
    async with client.get("/badges/db.svg?uptime=1y") as response:
        assert (response.status, "24h, 7d, 30d, 90d" in await response.text()) == (400, True)
