"""Planned maintenance: announced beforehand, begun and ended by its times, with the window in force meanwhile."""

import asyncio
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from healthd.config.incident import Update
from healthd.web.auth import hash_token
from tests.fakes.monitoring import UP
from tests.unit.healthd.web.conftest import Client, Open, Site, bearer
from tests.unit.healthd.web.public.test_incident_page import NEW, press
from tests.unit.healthd.web.public.test_page import PAGES, seen, words
from tests.unit.healthd.web.test_history_api import opened

HOUR = 3600.0
TEXT = {"title": "New database", "components": ["Checkout"], "text": "Orders wait."}
BOTH = {"name": "both", "hash": hash_token("both-token"), "scopes": ["incidents:write", "windows:write", "health:read"]}
WRITER = {"name": "writer", "hash": hash_token("writer-token"), "scopes": ["incidents:write", "health:read"]}
OPTIONS: dict[str, Any] = {
    "public_pages": PAGES,
    "auth": {"tokens": [BOTH, WRITER]},
    "http": {"external_url": "https://healthd.test"},
}

PLANNED = {"impact": "", "state": "", "for": "1h", "token": "both-token"}  # what is sent of a form's first choices


def at(site: Site, hours: float) -> str:
    return (site.clock.now() + timedelta(hours=hours)).isoformat()


async def call(client: Client, body: Any, path: str = "/incidents", name: str = "both") -> tuple[int, Any]:
    answer = await client.post(path, json=body, headers=bearer(name))
    return answer.status, await answer.json(content_type=None)


def part(html: str, heading: str) -> str:
    """What people read below a heading, up to the next section."""
    return words("<body>" + html.partition(f">{heading}</h2>")[2].partition("</section>")[0])


async def test_from_the_announcement_to_the_end(open_site: Open, tmp_path: Path) -> None:
    """Nobody has to press anything at its begin and its end; the feed tells of both."""
    site, client = await opened(open_site, tmp_path, **OPTIONS)
    site.put("db", UP)
    site.put("mail", UP)
    status, made = await call(client, {**TEXT, "from": at(site, 24), "for": "2h", "window": True})
    assert (status, made["state"], made["impact"]) == (201, "scheduled", "maintenance")
    (window,) = site.windows.all()
    assert (window.id, window.kind, window.checks, window.reason, window.author) == (
        made["window"], "maintenance", ("db",), "New database", "both",
    )  # fmt: skip
    page = await seen(client)
    assert "New database" in part(page, "Planned maintenance")
    assert "Scheduled" in part(page, "Planned maintenance")
    assert page.count(" until ") == 1  # and not once more for its window
    assert "All systems are operational" in page
    assert "<title>New database</title>" in await seen(client, "/status/shop/feed.atom")

    site.clock.seconds += 24 * HOUR + 60
    site.put("mail", UP)
    page = await seen(client)
    assert "New database" in part(page, "Current incidents")
    assert "In progress" in part(page, "Current incidents")
    assert "Checkout Maintenance" in words(page)
    feed = await seen(client, "/status/shop/feed.atom")
    assert feed.count("&lt;strong&gt;In progress&lt;/strong&gt;") == 1

    site.clock.seconds += 2 * HOUR
    site.put("db", UP)
    site.put("mail", UP)
    page = await seen(client)
    assert "Completed" in part(page, "Past incidents")
    assert "All systems are operational" in page
    (incident,) = site.incidents.all()
    assert [it.state for it in incident.updates] == ["scheduled", "in_progress", "completed"]
    site.clock.seconds += 91 * 24 * HOUR
    await site.incidents._load()
    await site.incidents._clean()
    await site.incidents._load()
    assert site.incidents.all() == ()


async def test_a_window_covers_the_components_that_are_named(open_site: Open) -> None:
    """Without a name there is nothing to cover; `*` names all."""
    site, client = await open_site(**OPTIONS)
    planned: dict[str, Any] = {"title": "New database", "for": "1h", "window": True}
    for wanted in (planned, {**planned, "components": []}):
        status, said = await call(client, wanted)
        assert (status, said["detail"]) == (422, "window: it covers the checks of components: name them, or * for all")
    status, made = await call(client, {**TEXT, "components": "*", "for": "1h", "window": True})
    (window,) = site.windows.all()
    assert (status, made["components"], window.checks) == (201, ["Checkout", "Letters"], ("db", "m*"))
    path = f"/incidents/{made['id']}/updates"
    status, said = await call(client, {"components": []}, path)
    assert (status, said["detail"].partition(":")[0]) == (422, "components")
    assert f"window {window.id} covers the checks of some: name them, or * for all" in said["detail"]
    assert site.windows.all() == [window]


async def test_what_an_earlier_release_wrote_of_all_components_stays_so(open_site: Open) -> None:
    """It named none and meant all: on the page, and when its window is moved. An empty list means none from then on."""
    site, client = await open_site(**OPTIONS)
    site.put("db", UP)
    site.put("mail", UP)
    _, made = await call(client, {**TEXT, "components": "*", "impact": "outage", "for": "1h", "window": True})
    last = site.incidents.all()[0].last
    written = last.model_dump(exclude={"exact"}) | {"components": (), "id": "0", "at": last.at + timedelta(seconds=1)}
    site.clock.seconds += 2
    await site.incidents.add(Update.model_validate(written), "incident.update")
    assert "Checkout Outage Letters Outage" in words(await seen(client))
    path = f"/incidents/{made['id']}/updates"
    status, moved = await call(client, {"for": "3h", "text": "It takes longer."}, path)
    assert (status, moved["components"], moved["window"]) == (201, ["*"], made["window"])
    (window,) = site.windows.all()
    assert (window.checks, window.end) == (("db", "m*"), site.incidents.all()[0].last.ends)
    assert (await call(client, {"state": "resolved"}, path))[0] == 201
    _, made = await call(client, {**TEXT, "components": []})
    assert made["components"] == []
    last = site.incidents.all()[0].last
    written = last.model_dump(exclude={"exact"}) | {"id": "1", "at": last.at + timedelta(seconds=1)}
    site.clock.seconds += 2
    await site.incidents.add(Update.model_validate(written), "incident.update")
    status, none = await call(client, {"components": []}, f"/incidents/{made['id']}/updates")
    assert (status, none["components"]) == (201, [])
    site.clock.seconds += 60
    site.put("db", UP)
    site.put("mail", UP)
    assert "Checkout Operational Letters Operational" in words(await seen(client))


async def test_it_is_moved_and_ends_early(open_site: Open) -> None:
    """Its window with it; what was announced anew is scheduled again."""
    site, client = await open_site(**OPTIONS)
    _, made = await call(client, {**TEXT, "for": "1h", "window": True})
    assert made["state"] == "in_progress"
    path = f"/incidents/{made['id']}/updates"
    status, longer = await call(client, {"to": at(site, 3), "text": "It takes longer."}, path)
    (window,) = site.windows.all()
    assert (status, longer["state"], longer["window"], window.end) == (
        201, "in_progress", window.id, site.clock.now() + timedelta(hours=3),
    )  # fmt: skip
    assert window.id == made["window"]
    status, later = await call(client, {"from": at(site, 5), "for": "1h"}, path)
    assert (status, later["state"], later["window"], site.windows.all()[0].start) == (
        201, "scheduled", made["window"], site.clock.now() + timedelta(hours=5),
    )  # fmt: skip
    site.clock.seconds += 5.5 * HOUR
    status, done = await call(client, {"state": "resolved", "text": "Done early."}, path)
    assert (status, done["state"], site.windows.all()) == (201, "completed", [])
    assert [it["state"] for it in done["updates"]] == [
        "completed", "in_progress", "scheduled", "in_progress", "in_progress",
    ]  # fmt: skip


async def test_a_withdrawal_ends_the_window(open_site: Open) -> None:
    site, client = await open_site(**OPTIONS)
    _, made = await call(client, {**TEXT, "from": at(site, 1), "for": "1h", "window": True})
    answer = await client.delete(f"/incidents/{made['id']}", headers=bearer("both"))
    assert (answer.status, site.windows.all(), site.incidents.all()) == (200, [], ())


async def test_it_is_extended_after_its_end(open_site: Open) -> None:
    """What customers read to be in progress again has a window that is in force."""
    site, client = await open_site(**OPTIONS)
    _, made = await call(client, {**TEXT, "for": "1h", "window": True})
    site.clock.seconds += 1.1 * HOUR
    path = f"/incidents/{made['id']}/updates"
    assert (await call(client, {"text": "All is well."}, path))[1]["window"] == made["window"]
    assert (await call(client, {"for": "2h"}, path, "writer"))[0] == 403
    status, longer = await call(client, {"for": "2h"}, path)
    (window,) = site.windows.all()
    assert (status, longer["state"], longer["window"]) == (201, "in_progress", window.id)
    assert window.id == made["window"]
    await call(client, {"state": "resolved"}, path)
    status, refused = await call(client, {"reopen": True}, path)
    assert (status, "opened again by new times: for or to" in refused["detail"]) == (422, True)
    status, again = await call(client, {"to": at(site, 2), "reopen": True}, path)
    assert (status, again["state"], [again["window"]]) == (201, "in_progress", [it.id for it in site.windows.all()])


@pytest.mark.parametrize("change", [{"state": "resolved"}, {"to": 3}, None])
async def test_a_replica_asks_for_a_window_that_it_has_not_heard_of(
    open_site: Open, tmp_path: Path, change: dict[str, Any] | None
) -> None:
    """None is left in force, whichever replica is asked; while the journal is away nothing changes."""
    first, client = await opened(open_site, tmp_path, **OPTIONS)
    _, made = await call(client, {**TEXT, "for": "1h", "window": True})
    second, other = await open_site(journal_url=f"sqlite:///{tmp_path}/journal.db", **OPTIONS)
    second.incidents._known = dict(first.incidents._known)
    second.incidents._arrange()
    body = {key: at(first, value) if key == "to" else value for key, value in (change or {}).items()}

    async def follow() -> int:
        if change is not None:
            return (await call(other, body, f"/incidents/{made['id']}/updates"))[0]
        return (await other.delete(f"/incidents/{made['id']}", headers=bearer("both"))).status

    assert await follow() == 503
    assert [it.id for it in first.windows.all()] == [made["window"]]
    await second.database.open()
    assert await follow() == (200 if change is None else 201)
    assert await first.windows.refresh()
    moved = None if change is None else change.get("to")
    left = [(made["window"], first.clock.now() + timedelta(hours=moved))] if moved else []
    assert [(it.id, it.end) for it in first.windows.all()] == left


async def test_a_window_that_somebody_ended_stays_ended(open_site: Open, tmp_path: Path) -> None:
    """Who wants to be woken again is, however long the maintenance takes; no page names a window that is none."""
    site, client = await opened(open_site, tmp_path, **OPTIONS)
    _, made = await call(client, {**TEXT, "for": "1h", "window": True})
    assert (await client.delete(f"/windows/{made['window']}", headers=bearer("both"))).status == 200
    status, longer = await call(client, {"for": "2h"}, f"/incidents/{made['id']}/updates")
    assert (status, longer["state"], longer.get("window"), site.windows.all()) == (201, "in_progress", None, [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"from": 1}, "it needs an end: write for, such as 1h, or to"),
        ({"from": 2, "to": 1}, "to must be later than from, and than now"),
        ({"from": -3, "for": "1h"}, "it would be over already: write a later from, or a longer for"),
        ({"from": 1, "for": "1h", "to": 2}, "write to or for, not both"),
        ({"from": 1, "for": "1h", "state": "investigating"}, "state: planned maintenance has it by its times"),
        ({"from": 1, "for": "1h", "impact": "none"}, "impact: an announcement has no times"),
        ({"window": True}, "window: planned maintenance alone has one: write from and to"),
        ({"form": 1}, "form: no such field; did you mean for?"),
    ],
)
async def test_what_cannot_be_planned(open_site: Open, change: dict[str, Any], told: str) -> None:
    site, client = await open_site(**OPTIONS)
    body = {key: at(site, value) if key in ("from", "to") else value for key, value in change.items()}
    status, answer = await call(client, {**TEXT, **body})
    assert (status, told in answer["detail"]) == (422, True), answer
    assert (site.incidents.all(), site.windows.all()) == ((), [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "identified"}, "state: planned maintenance has it by its times; only resolved ends it"),
        ({"impact": "none"}, "impact: planned maintenance is no announcement"),
        ({"to": -1}, "to must be later than from, and than now"),
        ({"to": 2, "state": "resolved"}, "write state, which ends it now, or other times, not both"),
        ({"reopen": True}, "reopen: it is not over: leave reopen out"),
    ],
)
async def test_what_cannot_become_of_it(open_site: Open, change: dict[str, Any], told: str) -> None:
    site, client = await open_site(**OPTIONS)
    _, made = await call(client, {**TEXT, "for": "1h"})
    body = {key: at(site, value) if key == "to" else value for key, value in change.items()}
    status, answer = await call(client, body, f"/incidents/{made['id']}/updates")
    assert (status, told in answer["detail"]) == (409 if "reopen" in change else 422, True), answer
    _, plain = await call(client, TEXT)
    status, answer = await call(client, {"for": "1h"}, f"/incidents/{plain['id']}/updates")
    assert (status, "it is no planned maintenance" in answer["detail"]) == (422, True)


async def test_a_window_takes_the_right_to_add_one(open_site: Open) -> None:
    """Who may write for customers alone announces without; and ends or moves nothing that holds notices back."""
    site, client = await open_site(**OPTIONS)
    status, answer = await call(client, {**TEXT, "for": "1h", "window": True}, name="writer")
    assert (status, "lacks the scope windows:write" in answer["detail"]) == (403, True)
    assert site.incidents.all() == ()
    assert (await call(client, {**TEXT, "for": "1h"}, name="writer"))[0] == 201
    _, made = await call(client, {**TEXT, "for": "1h", "window": True})
    path = f"/incidents/{made['id']}/updates"
    for change in ({"for": "2h"}, {"state": "resolved"}):
        assert (await call(client, change, path, "writer"))[0] == 403
    assert (await call(client, {"text": "Half of it is done."}, path, "writer"))[0] == 201
    assert [it.id for it in site.windows.all()] == [made["window"]]


async def test_the_form_takes_any_zone_and_the_impact_that_is_chosen(open_site: Open) -> None:
    """What does not fit planned maintenance is refused, not left out."""
    site, client = await open_site(**OPTIONS)
    start = site.clock.now().replace(microsecond=0) + timedelta(hours=2)
    reads = {"Authorization": bearer("writer")["Authorization"]}
    for hours in (-5, 0, 2):
        zoned = start.astimezone(timezone(timedelta(hours=hours))).isoformat()
        assert (await press(client, {**NEW, **PLANNED, "impact": "outage", "from": zoned}, **reads))[0] == 303
    assert [(it.last.starts, it.last.impact) for it in site.incidents.all()] == [(start, "outage")] * 3
    for change, told in (
        ({"impact": "none"}, "an announcement has no times"),
        ({"state": "identified"}, "planned maintenance has it by its times"),
        ({"from": "tomorrow"}, "from: "),
    ):
        status, page = await press(client, {**NEW, **PLANNED, **change}, **reads)
        assert (status, told in page) == (422, True), page
    assert len(site.incidents.all()) == 3


async def test_by_the_form_and_by_the_command(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser's time is UTC; both show what is planned."""
    site, client = await open_site(**OPTIONS)
    start = f"{site.clock.now() + timedelta(hours=2):%Y-%m-%dT%H:%M}"
    form = {**NEW, **PLANNED, "from": start, "window": "yes"}
    reads = {"Authorization": bearer("writer")["Authorization"]}
    assert (await press(client, form, **reads))[0] == 303
    (incident,) = site.incidents.all()
    assert (incident.last.state, incident.last.impact, incident.last.starts) == (
        "scheduled", "maintenance", site.clock.now().replace(second=0, microsecond=0) + timedelta(hours=2),
    )  # fmt: skip
    html = await (await client.get("/incidents/page", headers=reads)).text()
    assert f"with the window {incident.last.window}" in words(html)
    assert html.count('<option value="">degraded; ') == html.count('<option value="">investigating; ') == 1
    over = {"act": "update", "incident": incident.id, "state": "resolved", "text": "", "token": "both-token"}
    assert (await press(client, over, **reads))[0] == 303
    assert (site.incidents.all()[0].last.state, site.windows.all()) == ("cancelled", [])
    monkeypatch.setenv("HEALTHD_URL", str(client.make_url("")))
    monkeypatch.setenv("HEALTHD_TOKEN", "both-token")

    async def healthd(*said: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["incident", *said])

    made = await healthd("open", "New database", "--component", "Checkout", "--from", at(site, 1), "--for", "2h")
    assert "New database: maintenance of Checkout, scheduled, " in made.output
    listed = await healthd("list")
    assert listed.output.count("maintenance of Checkout, scheduled") == 1
    assert "cancelled" not in listed.output
    assert "maintenance of Checkout, cancelled, " in (await healthd("list", "--all")).output


async def test_what_is_cancelled_before_its_begin_is_not_completed(open_site: Open) -> None:
    """Customers read of work that never was as cancelled, with the times that it was planned for."""
    site, client = await open_site(**OPTIONS)
    _, made = await call(client, {**TEXT, "from": at(site, 24), "for": "2h", "window": True})
    path = f"/incidents/{made['id']}/updates"
    status, done = await call(client, {"state": "resolved", "text": "It is not needed."}, path)
    assert (status, done["state"], site.windows.all()) == (201, "cancelled", [])
    assert (done["from"], done["to"]) == (made["from"], made["to"])
    for language, word in (("en", "Cancelled"), ("de", "Abgesagt"), ("fr", "Annulé"), ("es", "Cancelado")):
        page = await seen(client, f"/status/shop?lang={language}")
        assert f"<strong>{word}</strong>" in page.rpartition("<h2")[2]
        assert f"&lt;strong&gt;{word}&lt;/strong&gt;" in await seen(client, f"/status/shop/feed.atom?lang={language}")
    site.clock.seconds += 24.5 * HOUR
    assert [it.state for it in site.incidents.all()[0].updates] == ["scheduled", "cancelled"]
    status, refused = await call(client, {"for": "30h"}, path)
    assert (status, "it is cancelled since" in refused["detail"], ", by both" in refused["detail"]) == (409, True, True)
    status, again = await call(client, {"for": "30h", "reopen": True}, path)
    assert (status, again["state"]) == (201, "in_progress")


async def test_what_ends_early_has_the_times_that_were(open_site: Open) -> None:
    site, client = await open_site(**OPTIONS)
    _, made = await call(client, {**TEXT, "for": "2h"})
    path = f"/incidents/{made['id']}/updates"
    site.clock.seconds += HOUR
    status, refused = await call(client, {"for": "30m"}, path)
    assert (status, refused["detail"].endswith(f"longer for: it counts from the begin, {made['from']}")) == (422, True)
    _, done = await call(client, {"state": "resolved"}, path)
    assert (done["state"], done["from"], done["to"]) == ("completed", made["from"], done["since"])
