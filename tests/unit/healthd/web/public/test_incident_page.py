"""The page on which people write about incidents: its forms publish what the API would, and no more."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth

from healthd.journal.past import Past
from tests.fakes.monitoring import UP
from tests.unit.healthd.web.conftest import Client, Open, bearer
from tests.unit.healthd.web.public.test_page import PAGES, put, seen, update, words
from tests.unit.healthd.web.test_history_api import opened

READS = {"Authorization": encode_basic_auth("me", "reader-token")}
NEW = {"act": "open", "page": "shop", "title": "Payments fail", "component": "Checkout", "impact": "outage",
       "state": "investigating", "text": "We look.\r\n\r\nSorry.", "token": "writer-token"}  # fmt: skip


async def press(client: Client, form: dict[str, str], **headers: str) -> tuple[int, str]:
    sent = {"Sec-Fetch-Site": "same-origin", **READS, **headers}
    async with client.post("/incidents/page", data=form, headers=sent, allow_redirects=False) as answer:
        assert answer.status != 303 or answer.headers["Location"] == "page"
        return answer.status, await answer.text()


async def test_an_incident_by_forms_alone(open_site: Open, tmp_path: Path) -> None:
    """Opened, updated, resolved and withdrawn; the audit names the holder of the token in the form."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    assert (await press(client, NEW))[0] == 303
    (incident,) = site.incidents.all()
    assert (incident.last.components, incident.last.text) == (("Checkout",), "We look.\n\nSorry.")
    assert "Checkout Outage" in words(await seen(client))
    page = await (await client.get("/incidents/page", headers=READS)).text()
    assert "outage of Checkout, on shop" in words(page)
    assert "by writer" in words(page)
    again = {"act": "update", "incident": incident.id, "state": "resolved", "text": "", "token": "writer-token"}
    assert (await press(client, again))[0] == 303
    assert not site.incidents.all()[0].is_open
    await press(client, {**NEW, "title": "Typo"})
    wrong = site.incidents.all()[0].id
    withdraw = {"act": "withdraw", "incident": wrong, "token": "writer-token"}
    assert (await press(client, withdraw))[0] == 400
    assert (await press(client, {**withdraw, "sure": "yes"}))[0] == 303
    assert [it.id for it in site.incidents.all()] == [incident.id]
    audit = [(row.caller, row.action) for row in await Past(site.database).audit(action="incident.")]
    assert audit == [("writer", f"incident.{it}") for it in ("withdraw", "open", "update", "open")]


@pytest.mark.parametrize(
    ("change", "headers", "status", "told"),
    [
        ({"token": ""}, {}, 401, "write your token"),
        ({"token": "reader-token"}, {}, 403, "lacks the scope incidents:write"),
        ({}, {"Sec-Fetch-Site": "cross-site"}, 403, "sent by another site"),
        ({"title": ""}, {}, 422, "title: is required"),
        ({"component": "Chekout"}, {}, 422, "did you mean Checkout?"),
        ({"act": "explode"}, {}, 400, "names nothing that can be done"),
        ({"act": "update", "incident": "nothing"}, {}, 404, "no incident has the id"),
        ({"text": "a" * 40_000}, {}, 413, "a form may have 32 KiB"),
        ({}, {"Content-Type": "text/plain"}, 415, "this takes forms"),
    ],
)
async def test_refusals(
    open_site: Open, change: dict[str, str], headers: dict[str, str], status: int, told: str
) -> None:
    """Each is a page that says why; nothing is published."""
    site, client = await open_site(public_pages=PAGES)
    answered, page = await press(client, NEW | change, **headers)
    assert (answered, told in page.replace("&#39;", "'")) == (status, True)
    assert site.incidents.all() == ()


async def test_two_thousand_letters_of_any_script_fit(open_site: Open) -> None:
    """As a form sends them, each of these is nine bytes."""
    site, client = await open_site(public_pages=PAGES)
    assert (await press(client, NEW | {"text": "障" * 2000}))[0] == 303
    assert site.incidents.all()[0].last.text == "障" * 2000


async def test_who_sees_it(open_site: Open) -> None:
    """Who may see details; a browser is asked for a token, and the status page leads there only who sees it."""
    site, client = await open_site(public_pages=PAGES)
    async with client.get("/incidents/page") as answer:
        assert (answer.status, "Basic" in answer.headers["WWW-Authenticate"]) == (401, True)
    assert (await client.get("/incidents/page", headers=bearer("runner"))).status == 403
    assert "/incidents/page" in await (await client.get("/", headers=bearer("reader"))).text()
    assert "/incidents/page" not in await (await client.get("/")).text()
    hostile: dict[str, Any] = {"title": "<script>alert(1)</script>", "text": "<img src=x onerror=alert(1)>"}
    await put(site.incidents, update(site, 1, **hostile))
    async with client.get("/incidents/page", headers=READS) as answer:
        html = await answer.text()
        assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in html
    assert "<img" not in html
    assert "The journal does not answer" in html


async def test_it_says_what_to_configure(open_site: Open) -> None:
    """Where there is no public page, nothing can be published."""
    _site, client = await open_site()
    page = await (await client.get("/incidents/page", headers=READS)).text()
    assert "There is no public page: write" in page
    assert "<form" not in page
    assert "The journal does not answer" not in page
