"""The feeds of a public page, by what their formats ask for."""

import re
import xml.etree.ElementTree as ET
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.unit.healthd.web.conftest import Open
from tests.unit.healthd.web.public.test_page import PAGE, put, update, words
from tests.unit.healthd.web.test_history_api import opened

ATOM = "{http://www.w3.org/2005/Atom}"
ADDRESS = "https://status.example.com"
SITE = {"public_pages": {"shop": {**PAGE, "title": "Shop & more", "url": ADDRESS}}}
HOSTILE = "<script>alert(1)</script> & ]]> \U0001f600"


async def test_atom_has_all_that_its_standard_asks_for(open_site: Open) -> None:
    """RFC 4287: 4.1.1 and 4.1.2: one id, title and updated each, an author, links; dates of RFC 3339."""
    site, client = await open_site(**SITE)
    await put(site.incidents, update(site, 1, title=HOSTILE, text=f"We look.\n\n{HOSTILE}"))
    site.clock.seconds += 60
    await put(site.incidents, update(site, 2, title=HOSTILE, state="resolved", text="Done."))
    await put(site.incidents, update(site, 3, incident="1a", impact="none", title="We move", components=()))
    async with client.get("/status/shop/feed.atom") as answer:
        assert (answer.status, answer.content_type) == (200, "application/atom+xml")
        feed = ET.fromstring(await answer.text())
    assert feed.tag == f"{ATOM}feed"
    for element in (feed, *feed.iterfind(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            (found,) = element.iterfind(f"{ATOM}{name}")
            assert found.text
        assert datetime.fromisoformat(str(element.findtext(f"{ATOM}updated"))).tzinfo is not None
        assert [it.get("href") for it in element.iterfind(f"{ATOM}link") if it.get("rel") == "alternate"]
    (self_link,) = [it.get("href") for it in feed.iterfind(f"{ATOM}link") if it.get("rel") == "self"]
    assert self_link == f"{ADDRESS}/feed.atom?lang=en"
    assert feed.findtext(f"{ATOM}author/{ATOM}name") == "Shop & more"
    entries = {it.findtext(f"{ATOM}id"): it for it in feed.iterfind(f"{ATOM}entry")}
    assert set(entries) == {f"{ADDRESS}#incident-0f", f"{ADDRESS}#incident-1a"}
    told = str(entries[f"{ADDRESS}#incident-0f"].findtext(f"{ATOM}content"))
    assert entries[f"{ADDRESS}#incident-0f"].findtext(f"{ATOM}title") == HOSTILE
    assert told.index("Resolved") < told.index("Done.") < told.index("Investigating")
    assert "<script" not in told
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; ]]&gt;" in told
    assert feed.findtext(f"{ATOM}updated") == "2026-03-29T00:17:40Z"


async def test_rss_has_all_that_its_description_asks_for(open_site: Open) -> None:
    """Title, link and description of the channel; dates of RFC 822; a guid that is no link."""
    site, client = await open_site(**SITE)
    await put(site.incidents, update(site, 1, text=HOSTILE))
    async with client.get("/status/shop/feed.rss?lang=fr") as answer:
        assert (answer.status, answer.content_type) == (200, "application/rss+xml")
        root = ET.fromstring(await answer.text())
    assert (root.tag, root.get("version")) == ("rss", "2.0")
    assert [root.findtext(f"channel/{name}") for name in ("title", "link", "language")] == [
        "Shop & more",
        ADDRESS,
        "fr",
    ]
    assert root.findtext("channel/description")
    (item,) = root.iterfind("channel/item")
    assert [item.findtext(it) for it in ("title", "guid")] == ["Payments fail", f"{ADDRESS}#incident-0f"]
    assert parsedate_to_datetime(str(item.findtext("pubDate"))).tzinfo is not None
    assert "Analyse en cours" in str(item.findtext("description"))


async def test_the_page_leads_to_its_feeds(open_site: Open) -> None:
    """Where its address is known: its own, or the daemon's."""
    other = {"http": {"external_url": "https://healthd.example.com"}, "public_pages": {"shop": PAGE}}
    for options, base in ((SITE, ADDRESS), (other, "https://healthd.example.com/status/shop")):
        _site, client = await open_site(**options)
        html = await (await client.get("/status/shop", headers={"Accept-Language": "de"})).text()
        links = re.findall(r'<link rel="alternate" type="application/(\w+)\+xml"[^>]* href="([^"]+)"', html)
        assert "Störungen verfolgen: Atom · RSS" in words(html)
        assert dict(links) == {it: f"{base}/feed.{it}?lang=de" for it in ("atom", "rss")}


async def test_no_feed_without_an_address(open_site: Open) -> None:
    """An id that a caller's Host header made would change with it."""
    site, client = await open_site(public_pages={"shop": PAGE})
    await put(site.incidents, update(site, 1))
    assert (await client.get("/status/shop/feed.atom")).status == 404
    assert "feed." not in await (await client.get("/status/shop")).text()
    for path in ("/status/shop/feed.json", "/status/nothing/feed.atom"):
        assert (await client.get(path)).status == 404


@pytest.mark.parametrize("form", ["atom", "rss"])
async def test_a_feed_is_not_empty_because_nothing_is_known(open_site: Open, tmp_path: Path, form: str) -> None:
    """Readers are told to come again; without incidents a feed is one."""
    _site, client = await open_site(**SITE)
    async with client.get(f"/status/shop/feed.{form}") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    site, client = await opened(open_site, tmp_path, **SITE)
    await site.incidents._load()
    async with client.get(f"/status/shop/feed.{form}") as answer:
        assert answer.status == 200
        assert "2000" in await answer.text()
