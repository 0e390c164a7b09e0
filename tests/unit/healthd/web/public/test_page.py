"""The public pages, as strangers and customers meet them."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from healthd.config.incident import Impact, IncidentState, Update
from healthd.config.public_page import Language
from healthd.model import Result, Status
from healthd.monitoring.incidents import Incidents
from healthd.web import spending as spent
from healthd.web.pages.kept import Kept
from healthd.web.public import past, standing
from healthd.web.public.page import Form
from healthd.web.public.standing import Overall, State, overall
from healthd.web.public.view import Scene
from tests.fakes.monitoring import DOWN, SLOW, UP
from tests.unit.healthd.web.conftest import Client, Open, Site
from tests.unit.healthd.web.test_history_api import opened, store

PAGE = {"components": [{"name": "Checkout", "checks": ["db"]}, {"name": "Letters", "checks": "m*"}]}
PAGES = {"shop": PAGE}


async def seen(client: Client, path: str = "/status/shop", language: str = "en") -> str:
    async with client.get(path, headers={"Accept-Language": language}) as answer:
        assert answer.status == 200
        return await answer.text()


def words(html: str) -> str:
    """What people read of a page."""
    body = html.partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def update(site: Site, number: int, **changes: Any) -> Update:
    state: IncidentState = "investigating"
    impact: Impact = "outage"
    said: dict[str, Any] = {
        "id": f"u{number}", "incident": "0f", "at": site.clock.now(), "author": "ada", "pages": ("shop",),
        "title": "Payments fail", "components": ("Checkout",), "impact": impact, "state": state, "text": "We look.",
        "exact": True,
    }  # fmt: skip
    return Update(**(said | changes))


async def test_three_lines_make_a_page(open_site: Open) -> None:
    """With a headline, the state of each component in words, and in the visitor's language."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    site.put("mail", SLOW)
    html = await seen(client)
    assert "<title>shop: Some systems are degraded</title>" in html
    assert re.search("Checkout Operational Letters Degraded", words(html))
    german = await seen(client, language="de-AT, en;q=0.3")
    assert '<html lang="de">' in german
    assert "Einige Systeme sind beeinträchtigt" in german
    assert await seen(client, "/status/shop?lang=de", "fr") == german


@pytest.mark.parametrize(
    ("results", "headline"),
    [
        ((UP, UP), "All systems are operational"),
        ((DOWN, UP), "Some systems are down"),
        ((DOWN, DOWN), "All systems are down"),
        ((SLOW, UP), "Some systems are degraded"),
        ((UP, None), "The state of some systems is not known"),
        ((DOWN, None), "Some systems are down"),
    ],
)
async def test_the_headline(open_site: Open, results: tuple[Result | None, ...], headline: str) -> None:
    """The worst of the components; what is not known is never green."""
    site, client = await open_site(public_pages=PAGES)
    for name, result in zip(("db", "mail"), results, strict=True):
        if result is not None:
            site.put(name, result)
    assert headline in words(await seen(client))


async def test_a_result_that_is_too_old_is_not_believed(open_site: Open) -> None:
    """As everywhere."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    assert re.search("Checkout Operational", words(await seen(client)))
    site.clock.seconds += 3600
    assert re.search("Checkout Not known", words(await seen(client)))


async def test_maintenance_is_announced_without_its_reason(open_site: Open) -> None:
    """When, and of what; a failure meanwhile is none; a page may leave it out."""
    now = {"from": "2026-03-29T00:00:00Z", "to": "2026-03-29T03:00:00Z", "reason": "reindex db-3.internal"}
    later = {"cron": "0 3 * * SUN", "for": "1h", "timezone": "Europe/Berlin", "reason": "vacuum db-4.internal"}
    windows = [{"checks": ["db"], **now}, {"checks": ["mail"], **later}]
    pages = {"shop": {**PAGE, "timezone": "Europe/Berlin"}, "quiet": {**PAGE, "maintenance": False}}
    site, client = await open_site(public_pages=pages, maintenance=windows)
    site.put("db", DOWN)
    site.put("mail", UP)
    told = words(await seen(client))
    assert "Maintenance is in progress" in told
    assert "Checkout Maintenance" in told
    assert "Planned maintenance Checkout now until 29 Mar 2026, 05:00 CEST" in told
    assert "Letters 29 Mar 2026, 03:00 CEST until 29 Mar 2026, 04:00 CEST" in told
    assert "internal" not in told
    assert "Planned maintenance" not in await seen(client, "/status/quiet")


async def test_uptime_of_ninety_days(open_site: Open, tmp_path: Path) -> None:
    """A bar a day, the share in percent, and the days on which something was wrong, in the page's time zone."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    await store(
        site,
        ("db", 24 * 60, Status.UNKNOWN, Status.HEALTHY, ""),
        ("db", 24 * 10, Status.HEALTHY, Status.UNHEALTHY, "secret.internal refused"),
        ("db", 24 * 10 - 2.4, Status.UNHEALTHY, Status.HEALTHY, ""),
    )
    told = words(await seen(client))
    assert "99.83% uptime over 61 days" in told
    assert "Days with disruptions (1) 19 Mar 2026: 90.00%" in told
    assert "internal" not in told
    site.clock.seconds += 3
    await store(site, ("db", 0, Status.HEALTHY, Status.DEGRADED, ""))
    assert "disruptions (1)" in words(await seen(client))


async def test_the_last_days_are_read_again(open_site: Open, tmp_path: Path) -> None:
    """Once a minute; the days before them stay."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    await store(site, ("db", 24 * 60, Status.UNKNOWN, Status.HEALTHY, ""))
    assert "100% uptime over 61 days" in words(await seen(client))
    await store(
        site,
        ("db", 0.2, Status.HEALTHY, Status.UNHEALTHY, ""),
        ("db", 0.1, Status.UNHEALTHY, Status.HEALTHY, ""),
    )
    site.clock.seconds += 150
    site.put("db", UP)
    told = words(await seen(client))
    assert "99.99% uptime over 61 days" in told
    assert "29 Mar 2026" in told


async def test_served_without_the_journal(open_site: Open, tmp_path: Path) -> None:
    """With the states of now; what is known of the past is told with its time, and what is not known is not made up."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    told = words(await seen(client))
    assert "The uptime is not known right now." in told
    assert "Incidents are not known right now." in told
    assert "Checkout Operational" in told
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    await store(site, ("db", 24 * 60, Status.UNKNOWN, Status.HEALTHY, ""))
    await site.incidents._load()
    assert "Past incidents and uptime are as of" not in words(await seen(client))
    await site.database.close()
    site.clock.seconds += 600
    site.put("db", DOWN)
    told = words(await seen(client))
    assert "Checkout Outage" in told
    assert "100% uptime over 61 days" in told
    assert "Past incidents and uptime are as of 29 Mar 2026, 00:16 UTC." in told


async def test_the_first_visitor_waits_for_the_past(
    open_site: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that has just been opened is slow, and a page without a past may be kept by a CDN: it waits longer than
    later ones, who are shown what is known."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    await store(site, ("db", 24 * 60, Status.UNKNOWN, Status.HEALTHY, ""))
    monkeypatch.setattr(past, "_VISITOR", 0.0)
    assert "100% uptime over 61 days" in words(await seen(client))


async def test_a_reload_while_the_journal_is_away_forgets_nothing(open_site: Open, tmp_path: Path) -> None:
    """Of the pages that it did not change."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    await store(site, ("db", 24 * 60, Status.UNKNOWN, Status.HEALTHY, ""))
    assert "100% uptime over 61 days" in words(await seen(client))
    await site.database.close()
    site.in_force.replace(site.read({"public_pages": PAGES, "version": "2"}))
    assert "100% uptime over 61 days" in words(await seen(client))
    site.in_force.replace(site.read({"public_pages": {"shop": {**PAGE, "timezone": "Europe/Berlin"}}}))
    assert "The uptime is not known right now." in words(await seen(client))


async def test_incidents_make_a_component_worse_and_never_better(open_site: Open) -> None:
    """While they are open; the text is text, whatever it contains."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    site.put("mail", DOWN)
    await put(site.incidents, update(site, 1, text="<script>alert(1)</script>\n\nSecond."))
    await put(site.incidents, update(site, 2, incident="1a", components=("Letters",), impact="degraded", title="Mail"))
    html = await seen(client)
    told = words(html)
    assert "Payments fail Affects: Checkout Investigating · 29 Mar 2026, 00:16 UTC" in told
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "ada" not in told
    assert "Checkout Outage" in told
    assert "Letters Outage" in told
    site.clock.seconds += 10
    site.put("db", UP)
    await put(site.incidents, update(site, 3, state="resolved", text="Fixed."))
    told = words(await seen(client))
    assert "Checkout Operational" in told
    assert re.search("Past incidents Payments fail .* Resolved .* Fixed. Investigating", told)


@pytest.mark.parametrize(
    ("impact", "headline"), [("degraded", "Some systems are degraded"), ("outage", "Some systems are down")]
)
async def test_an_incident_of_no_component_changes_none(open_site: Open, impact: Impact, headline: str) -> None:
    """It is told, and the page is not called operational beside it."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    site.put("mail", UP)
    await put(site.incidents, update(site, 1, components=(), impact=impact))
    html = await seen(client)
    assert f"<title>shop: {headline}</title>" in html
    assert "Payments fail Investigating" in words(html)
    assert "Checkout Operational" in words(html)
    assert "Letters Operational" in words(html)


async def test_an_announcement_is_no_incident(open_site: Open) -> None:
    """It stands on top, without a state, and is gone once it is resolved; other pages have their own."""
    other = {"components": [{"name": "A", "checks": "db"}], "announcement": "Closed on Sunday."}
    site, client = await open_site(public_pages={**PAGES, "partners": other})
    site.put("db", UP)
    site.put("mail", UP)
    await put(site.incidents, update(site, 1, impact="none", title="New opening hours", components=()))
    told = words(await seen(client))
    assert "New opening hours 29 Mar 2026, 00:16 UTC We look." in told
    assert "Investigating" not in told
    assert "All systems are operational" in told
    partners = words(await seen(client, "/status/partners"))
    assert "Closed on Sunday." in partners
    assert "opening hours" not in partners
    site.clock.seconds += 10
    await put(site.incidents, update(site, 2, impact="none", state="resolved"))
    assert "opening hours" not in await seen(client)


async def test_what_was_withdrawn_is_gone(open_site: Open) -> None:
    """With all its updates."""
    site, client = await open_site(public_pages=PAGES)
    await put(site.incidents, update(site, 1))
    assert "Payments fail" in await seen(client)
    site.clock.seconds += 10
    await put(site.incidents, update(site, 2, withdrawn=True))
    assert "Payments" not in await seen(client)


async def test_nothing_is_said_of_pages_that_there_are_not(open_site: Open) -> None:
    """Least of all the names of others."""
    _site, client = await open_site(public_pages=PAGES)
    for path in ("/status/shopp", "/status/", "/status", "/status/shop/", "/status/%00", "/status/..%2fshop"):
        async with client.get(path) as answer:
            assert (answer.status, "shop " in await answer.text()) == (404, False)
            assert "did you mean" not in (await answer.text()).lower()


async def test_what_a_browser_and_a_cache_need(open_site: Open) -> None:
    """Packed, marked, kept for some seconds, in each language for itself; nothing of the inside in a header."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    async with client.get("/status/shop", headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as answer:
        headers, packed = answer.headers, await answer.read()
    assert headers["Cache-Control"] == "public, max-age=5"
    assert {it.strip() for it in headers["Vary"].split(",")} == {"Accept-Language", "Accept-Encoding"}
    assert "script-src" not in headers["Content-Security-Policy"]
    assert "X-Health-Status" not in headers
    assert gzip.decompress(packed).decode() == await seen(client)
    async with client.get("/status/shop", headers={"If-None-Match": headers["ETag"]}) as same:
        assert (same.status, await same.read()) == (304, b"")
    async with client.get("/status/shop", headers={"If-None-Match": headers["ETag"], "Accept-Language": "de"}) as other:
        assert other.status == 200
    assert (await client.head("/status/shop")).status == 200


async def test_a_flood_costs_nothing(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever strangers put into their requests, a page is drawn once for each language in some seconds; more seldom
    where it takes long."""
    site, client = await open_site(public_pages=PAGES)
    site.put("db", UP)
    drawn: list[tuple[str, str]] = []
    draw = site.public_pages._draw

    def counting(scene: Scene, form: Form, language: Language, *more: Any) -> Kept:
        drawn.append((scene.name, language))
        return draw(scene, form, language, *more)

    monkeypatch.setattr(site.public_pages, "_draw", counting)
    for number in range(200):
        headers = {"Accept-Language": ("de", "fr", f"x{number}")[number % 3], "User-Agent": f"{number}"}
        async with client.get(f"/status/shop?lang=l{number}&n={number}", headers=headers) as answer:
            assert answer.status == 200
    assert sorted(drawn) == [("shop", "de"), ("shop", "en"), ("shop", "fr")]
    site.clock.seconds += 6
    await seen(client)
    assert len(drawn) == 4
    monkeypatch.setattr(spent, "_BURST", 0.0)
    site.clock.seconds += 60
    await seen(client)
    assert len(drawn) == 4


async def test_a_reload_shows_at_once(open_site: Open) -> None:
    """Another name, and no page that there is not any more."""
    site, client = await open_site(public_pages=PAGES)
    assert "Checkout" in await seen(client)
    site.in_force.replace(site.read({"public_pages": {"shop": {"components": [{"name": "Till", "checks": "db"}]}}}))
    told = words(await seen(client))
    assert "Till" in told
    assert "Checkout" not in told
    site.in_force.replace(site.read({}))
    assert (await client.get("/status/shop")).status == 404


def test_overall() -> None:
    """Of no component nothing is known."""
    assert overall([]) is Overall.UNKNOWN
    assert standing.worst([]) is State.UNKNOWN
    assert overall([State.MAINTENANCE, State.OPERATIONAL]) is Overall.MAINTENANCE


async def put(incidents: Incidents, said: Update) -> None:
    await incidents.add(said, "incident.update")
