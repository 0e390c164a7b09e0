"""The page on which people write about incidents: its forms publish what the API would, and no more."""

import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth

from healthd.journal.past import Past
from healthd.web.pages.renderer import Renderer
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


@pytest.mark.parametrize(("choice", "about", "state"), [("", "no component", "Operational"), ("*", "", "Outage")])
async def test_a_form_for_all_components_or_none(
    open_site: Open, tmp_path: Path, choice: str, about: str, state: str
) -> None:
    """The first choice changes the state of none."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    site.put("mail", UP)
    assert (await press(client, {**NEW, "component": choice}))[0] == 303
    page = await (await client.get("/incidents/page", headers=READS)).text()
    assert f"outage of {about or 'Checkout, Letters'}, on shop" in words(page)
    assert re.search(f"Checkout {state} Letters {state}", words(await seen(client)))


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
    status, page = await press(client, {**again, "state": "identified"})  # by a page that was drawn before the end
    assert (status, "it is resolved since " in page, site.incidents.all()[0].is_open) == (409, True, False)
    said = {"incident": incident.id, "token": "writer-token"}
    assert (await press(client, {**said, "act": "update", "text": "A network device had failed."}))[0] == 303
    assert not site.incidents.all()[0].is_open
    assert (await press(client, {**said, "act": "reopen", "text": "It fails again."}))[0] == 303
    assert site.incidents.all()[0].last.state == "investigating"
    assert (await press(client, again))[0] == 303
    await press(client, {**NEW, "title": "Typo"})
    wrong = site.incidents.all()[0].id
    withdraw = {"act": "withdraw", "incident": wrong, "token": "writer-token"}
    assert (await press(client, withdraw))[0] == 400
    assert (await press(client, {**withdraw, "sure": "yes"}))[0] == 303
    assert [it.id for it in site.incidents.all()] == [incident.id]
    audit = [(row.caller, row.action) for row in await Past(site.database).audit(action="incident.")]
    assert audit == [("writer", f"incident.{it}") for it in ("withdraw", "open", *["update"] * 4, "open")]


@pytest.mark.parametrize(
    ("change", "headers", "status", "told"),
    [
        ({"token": ""}, {}, 401, "write your token"),
        ({"token": "reader-token"}, {}, 403, "lacks the scope incidents:write"),
        ({}, {"Sec-Fetch-Site": "cross-site"}, 403, "sent by another site"),
        ({"title": ""}, {}, 422, "title: is required"),
        ({"component": "Chekout"}, {}, 422, "did you mean Checkout?"),
        ({"compnent": "Letters"}, {}, 422, "compnent: no such field. Did you mean component?"),
        ({"impact": "outtage"}, {}, 422, "did you mean outage?"),
        ({"act": "explode"}, {}, 400, "names nothing that can be done"),
        ({"act": "update", "incident": "nothing"}, {}, 422, "page: no such field"),
        ({"act": "update", "incident": "nothing", "page": None}, {}, 404, "no incident has the id"),
        ({"text": "a" * 40_000}, {}, 413, "a form may have 32 KiB"),
        ({}, {"Content-Type": "text/plain"}, 415, "this takes forms"),
    ],
)
async def test_refusals(
    open_site: Open, change: dict[str, str | None], headers: dict[str, str], status: int, told: str
) -> None:
    """Each is a page that says why; nothing is published."""
    site, client = await open_site(public_pages=PAGES)
    form = {name: value for name, value in {**NEW, **change}.items() if value is not None}
    answered, page = await press(client, form, **headers)
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


async def test_many_are_drawn_beside_the_event_loop(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes are answered meanwhile; and a page stays one that a browser takes, with what was said last of each."""
    site, client = await open_site(public_pages=PAGES)
    for number in range(60):
        for said in range(1 + 39 * (number == 59)):
            at = site.clock.now() + timedelta(seconds=60 * number + said)
            many = update(site, 0, id=f"u{number}.{said}", incident=f"i{number:02}", at=at, text=f"said {said} times")
            site.incidents._known[many.id] = many
    site.incidents._arrange()
    drawn, text = [], Renderer.text

    def noted(self: Renderer, template: str, context: Any) -> str:
        drawn.append((template, threading.current_thread() is threading.main_thread()))
        return text(self, template, context)

    monkeypatch.setattr(Renderer, "text", noted)
    page = words(await (await client.get("/incidents/page", headers=READS)).text())
    assert drawn == [("incidents.html", False)]
    assert "and 10 more, to be written about by healthd incident i09 Payments fail i08" in page
    assert ("said 39 times" in page, "said 19 times" in page, "and 20 before" in page) == (True, False, True)
    assert page.count("Publish the update") == 50
