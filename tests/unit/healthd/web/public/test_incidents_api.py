"""Incidents by the API and the command line, as the person writes who tells customers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from healthd.config.incident import Update
from healthd.journal.incidents import IncidentStore
from healthd.journal.journal import AuditEntry
from healthd.journal.past import Past
from healthd.monitoring.incidents import Incidents
from healthd.units import stamp
from healthd.web.auth import hash_token
from tests.fakes.monitoring import UP
from tests.unit.healthd.web.conftest import Client, Open, Site, bearer
from tests.unit.healthd.web.public.test_page import PAGES, seen, update, words
from tests.unit.healthd.web.test_api_docs import fits
from tests.unit.healthd.web.test_history_api import opened

SLOW = {"title": "Payments are slow", "components": ["Checkout"], "text": "We look into it."}
TWO = {**PAGES, "partners": {"components": [{"name": "Interface", "checks": ["mail"]}]}}


async def post(client: Client, body: Any, path: str = "/incidents", name: str = "writer") -> tuple[int, Any]:
    response = await client.post(path, json=body, headers=bearer(name))
    return response.status, await response.json(content_type=None)


async def test_past_incidents_are_kept_and_refuse_none(open_site: Open, tmp_path: Path) -> None:
    """What is open is limited; what is over makes room by itself, the oldest first, and never for what is open."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    for number, state in enumerate(["resolved"] * 1010 + ["investigating"] * 498):
        many = update(site, number, incident=f"i{number:04}", state=state, at=site.clock.now())
        site.clock.seconds += 1
        site.incidents._unsaved[many.id] = many, AuditEntry("ada", "incident.open", many.incident, {"update": many.id})
    await site.incidents._save()
    await site.incidents._load()
    for _ in range(2):
        assert (status := (await post(client, SLOW))[0]) == 201, status
    status, refused = await post(client, SLOW)
    assert (status, refused["detail"]) == (429, "500 are open: resolve or withdraw some first")
    await site.incidents._clean()
    await site.incidents._load()
    kept = site.incidents.all()
    assert (sum(it.is_open for it in kept), [it.id for it in kept][-2:], len(kept)) == (500, ["i0011", "i0010"], 1500)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"compnents": ["Checkout"]}, "compnents: no such field; did you mean components?"),
        ({"impact": "outtage"}, "impact: must be 'none', 'degraded' or 'outage'; did you mean outage?"),
        (
            {"when": "now"},
            "when: no such field; there are: components, for, from, impact, pages, state, text, title, to",
        ),
    ],
)
async def test_what_is_misspelt_is_named(open_site: Open, body: dict[str, Any], told: str) -> None:
    """With what was meant; nothing is published that lacks a part."""
    site, client = await open_site(public_pages=PAGES)
    status, answer = await post(client, SLOW | body)
    assert (status, answer["detail"].removesuffix(", window"), site.incidents.all()) == (422, told, ())


async def test_an_incident_from_its_beginning_to_its_end(open_site: Open, tmp_path: Path) -> None:
    """On the page, in the list, and in the audit with who wrote it."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    site.put("db", UP)
    status, made = await post(client, SLOW)
    assert (status, made["state"], made["impact"], made["pages"], made["stored"]) == (
        201, "investigating", "degraded", ["shop"], True,
    )  # fmt: skip
    assert made["updates"] == [
        {"at": made["opened"], "state": "investigating", "text": "We look into it.", "author": "writer"}
    ]
    path = f"/incidents/{made['id']}/updates"
    site.clock.seconds += 60
    status, made = await post(client, {"state": "identified", "impact": "outage"}, path)
    assert (status, [it["state"] for it in made["updates"]]) == (201, ["identified", "investigating"])
    assert "Checkout Outage" in words(await seen(client))
    site.clock.seconds += 60
    await post(client, {"state": "resolved", "text": "Done.\n\nSorry."}, path)
    listed = await (await client.get("/incidents", headers=bearer("reader"))).json()
    assert [(it["id"], it["state"], len(it["updates"])) for it in listed["incidents"]] == [(made["id"], "resolved", 3)]
    audit = [(row.caller, row.action, row.subject) for row in await Past(site.database).audit(action="incident.")]
    updated = ("writer", "incident.update", made["id"])
    assert audit == [updated, updated, ("writer", "incident.open", made["id"])]
    withdrawn = await client.delete(f"/incidents/{made['id'][:4]}", headers=bearer("writer"))
    assert (withdrawn.status, (await withdrawn.json())["withdrawn"]) == (200, True)
    assert (await (await client.get("/incidents", headers=bearer("reader"))).json())["incidents"] == []
    assert (await post(client, {"text": "x"}, path))[0] == 404


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"title": ""}, "title: must not be empty"),
        ({"title": "a" * 121}, "title: must not have more than 120"),
        ({"title": "a\nb"}, "title: must be one line"),
        ({"title": "typo\u202eyob"}, "title: must be one line"),
        ({"text": "a\x1b[2K"}, "text: has a character that cannot be printed"),
        ({"text": "a\u2028b"}, "text: has a character that cannot be printed"),
        ({"text": "a" * 2001}, "text: must not have more than 2000"),
        ({"pages": ["shopp"]}, "names 'shopp', which is not under public_pages; did you mean shop?"),
        ({"components": ["Chekout"]}, "names 'Chekout', which is not under the components of its pages; did you mean"),
        ({"components": ["db"]}, "names 'db', which is not under the components of its pages"),
        ({"components": ["Interface"], "pages": "shop"}, "names 'Interface', which is not under the components of its"),
        ({"pages": []}, "write pages, of shop, partners: it must be known which public page shows it"),
        ({"impact": "bad"}, "impact: must be 'none', 'degraded' or 'outage'"),
        ({"state": "done"}, "state: must be 'investigating', 'identified', 'monitoring' or 'resolved'"),
        ({"tilte": "x"}, "tilte: no such field; did you mean title?"),
        ({"impact": "outtage"}, "impact: must be 'none', 'degraded' or 'outage'; did you mean outage?"),
        (
            {"title": "a\nb", "pages": ["shopp"], "state": "done"},
            "title: must be one line: it has a line break or another character that cannot be printed; state: must be "
            "'investigating', 'identified', 'monitoring' or 'resolved'; names 'shopp', which is not under public_pages",
        ),
        (
            {"title": "x", "text": "a\x1b[2K", "components": ["Chekout"]},
            "text: has a character that cannot be printed; names 'Chekout', which is not under the components of",
        ),
        (
            {"title": "reader-token", "text": "it is reader-token"},
            "title: contains a secret: leave it out; text: contains a secret: leave it out",
        ),
        ({"text": "the token is reader-token"}, "text: contains a secret: leave it out"),
        ({"title": "leak hd_" + "Ab1_-" * 8 + "xyz"}, "title: contains a secret: leave it out"),
    ],
)
async def test_refusals(open_site: Open, change: dict[str, Any], detail: str) -> None:
    """Each says what to write instead; nothing is shown."""
    site, client = await open_site(public_pages=TWO)
    site.redact.learn(["reader-token"])
    status, body = await post(client, {**SLOW, "pages": "shop", **change})
    assert (status, body["detail"][: len(detail)]) == (422, detail)
    assert site.incidents.all() == ()


async def test_updates_that_cannot_be(open_site: Open) -> None:
    """One that says nothing new, one of an incident that there is not, one without pages at all."""
    _site, client = await open_site(public_pages=PAGES)
    _, made = await post(client, SLOW)
    path = f"/incidents/{made['id']}/updates"
    for body in ({}, {"text": " "}, {"state": "investigating"}):
        status, said = await post(client, body, path)
        assert (status, said["detail"].startswith("it says nothing new")) == (422, True)
    assert (await post(client, {"components": ["Chekout"]}, path))[0] == 422
    assert (await post(client, {"text": "x"}, "/incidents/nothing/updates"))[0] == 404
    assert (await post(client, [], path))[0] == 422
    bare, without = await open_site()
    status, said = await post(without, SLOW)
    assert (status, said["detail"]) == (422, "there is none: write public_pages: it must be known which public page "
    "shows it")  # fmt: skip
    assert bare.incidents.all() == ()


async def test_what_is_over_is_opened_again_where_that_is_asked_for(open_site: Open, tmp_path: Path) -> None:
    """Not by a state that was meant for what somebody else has resolved meanwhile, here or at another replica."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    _, made = await post(client, SLOW)
    path = f"/incidents/{made['id']}/updates"
    status, said = await post(client, {"reopen": True}, path)
    assert (status, said["detail"]) == (409, "reopen: it is not over: leave reopen out")
    site.clock.seconds += 60
    first = site.incidents.all()[0].last
    ended = first.model_copy(update={"id": "e", "state": "resolved", "author": "ada", "at": site.clock.now()})
    await (await _replica(site)).add(ended, "incident.update")
    site.clock.seconds += 60
    for body in ({"state": "identified", "text": "x"}, {"state": "resolved", "text": "x"}, {"state": "resolved"}):
        status, said = await post(client, body, path)
        assert (status, said["title"]) == (409, "Incident is over"), said
        assert "it is resolved since " in said["detail"]
        assert ", by ada: to add a text leave the state out" in said["detail"]
        assert ("healthd incident update --reopen" in said["detail"]) == (body["state"] != "resolved")
    status, said = await post(client, {"text": "A network device had failed."}, path)
    assert (status, said["state"], said["since"] < said["updates"][0]["at"]) == (201, "resolved", True)
    status, said = await post(client, {"reopen": True, "state": "resolved"}, path)
    assert (status, "what is opened again is not resolved" in said["detail"]) == (422, True)
    status, said = await post(client, {"reopen": True, "text": "It fails again."}, path)
    assert (status, said["state"], said["since"]) == (201, "investigating", said["updates"][0]["at"])


async def test_no_more_are_opened_again_than_may_be_open(
    open_site: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthd.web.public.writing._MOST_OPEN", 1)
    _, client = await opened(open_site, tmp_path, public_pages=PAGES)
    _, made = await post(client, SLOW)
    path = f"/incidents/{made['id']}/updates"
    assert (await post(client, {"state": "resolved"}, path))[0] == 201
    assert (await post(client, SLOW))[0] == 201
    assert (await post(client, {"reopen": True}, path))[0] == 429
    assert (await post(client, {"text": "It was the network."}, path))[0] == 201


async def test_an_incident_of_a_page_that_is_gone_can_still_be_ended(open_site: Open) -> None:
    """After a reload took the page."""
    site, client = await open_site(public_pages=PAGES)
    _, made = await post(client, SLOW)
    site.in_force.replace(site.read({}))
    assert (await post(client, {"state": "resolved"}, f"/incidents/{made['id']}/updates"))[0] == 201


async def test_what_could_mean_two_incidents_means_neither(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole id always means its own."""
    _site, client = await open_site(public_pages=PAGES)
    keys = iter(["u1", "5f0c", "u2", "5f0d", "u3", "u4"])
    monkeypatch.setattr("secrets.token_hex", lambda _size: next(keys))
    for _ in range(2):
        assert (await post(client, SLOW))[0] == 201
    status, said = await post(client, {"text": "x"}, "/incidents/5f0/updates")
    assert (status, "begin with 5f0" in said["detail"]) == (409, True)
    assert (await post(client, {"text": "x"}, "/incidents/5f0d/updates"))[0] == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/incidents"),
        ("POST", "/incidents"),
        ("POST", "/incidents/0f/updates"),
        ("DELETE", "/incidents/0f"),
    ],
)
async def test_scopes(open_site: Open, method: str, path: str) -> None:
    """Nobody without a token, nor with another's scope."""
    _, client = await open_site(public_pages=PAGES)
    assert (await client.request(method, path)).status == 401
    assert (await client.request(method, path, headers=bearer("ada"))).status == 403
    allowed = await client.request(method, path, headers=bearer("reader" if method == "GET" else "writer"))
    assert allowed.status not in (401, 403)


async def test_a_token_that_is_bound_writes_of_its_own_components(open_site: Open) -> None:
    """All checks of them must be its own; what is said of a whole page is said of others too."""
    grants = {"name": "mail", "hash": hash_token("mail-token"), "scopes": ["incidents:write"], "checks": ["m*"]}
    root = {"name": "root", "hash": hash_token("root-token"), "scopes": ["admin"]}
    both = {"components": [*PAGES["shop"]["components"], {"name": "All", "checks": "*"}]}
    _site, client = await open_site(public_pages={"shop": both}, auth={"tokens": [grants, root]})
    assert (await post(client, {"title": "x", "components": ["Letters"]}, name="mail"))[0] == 201
    for components in (["Checkout"], ["Letters", "All"], []):
        status, said = await post(client, {"title": "x", "components": components}, name="mail")
        assert (status, "it is bound to checks m*" in said["detail"]) == (403, True)
    _, other = await post(client, SLOW, name="root")
    path = f"/incidents/{other['id']}"
    assert (await post(client, {"components": ["Letters"]}, f"{path}/updates", "mail"))[0] == 403
    assert (await client.delete(path, headers=bearer("mail"))).status == 403


async def test_answers_are_as_described(open_site: Open) -> None:
    site, client = await open_site(public_pages=PAGES)
    document = site.api_docs.document()
    for body in (json.dumps(SLOW), "{}", '"no"', "{"):
        answer = await client.post("/incidents", data=body, headers=bearer("writer"))
        await fits(document, "/incidents", "post", answer, answer.content_type)
    answer = await client.get("/incidents", headers=bearer("reader"))
    await fits(document, "/incidents", "get", answer, answer.content_type)
    for key in (site.incidents.all()[0].id, "nothing"):
        answer = await client.post(f"/incidents/{key}/updates", json={"text": "x"}, headers=bearer("writer"))
        await fits(document, "/incidents/{incident}/updates", "post", answer, answer.content_type)
        answer = await client.delete(f"/incidents/{key}", headers=bearer("writer"))
        await fits(document, "/incidents/{incident}", "delete", answer, answer.content_type)


async def test_by_the_command_line(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open, update, resolve, withdraw, list; what is refused ends with 1, what could not be asked with 3."""
    site, client = await open_site(public_pages=PAGES)
    monkeypatch.setenv("HEALTHD_URL", str(client.make_url("")))
    monkeypatch.setenv("HEALTHD_TOKEN", "root-token")

    async def healthd(*said: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["incident", *said])

    assert "no incident is open" in (await healthd("list")).output
    made = await healthd("open", "Payments fail", "--component", "Checkout", "--impact", "outage", "--text", "a\nb")
    (incident,) = site.incidents.all()
    assert (made.exit_code, incident.last.author, incident.last.text) == (0, "root", "a\nb")
    assert f"{incident.id}  Payments fail: outage of Checkout, investigating since " in made.output
    assert "shown by this replica alone" in made.output
    site.clock.seconds += 60
    found = await healthd("update", incident.id[:5], "--state", "identified", "--text", "found")
    changed = stamp(site.clock.now())
    assert (found.exit_code, f"outage of Checkout, identified since {changed}, on shop" in found.output) == (0, True)
    site.clock.seconds += 60
    more = await healthd("update", incident.id, "--text", "found")
    assert f"identified since {changed}, updated {stamp(site.clock.now())}, on shop" in more.output
    listed = json.loads((await healthd("list", "--json")).output)
    assert [it["updates"][0]["text"] for it in listed["incidents"]] == ["found"]
    assert (await healthd("resolve", incident.id, "--text", "over")).exit_code == 0
    again = await healthd("resolve", incident.id, "--text", "over")
    assert (again.exit_code, "refused (409): it is resolved since " in again.output) == (1, True)
    assert (await healthd("update", incident.id, "--state", "monitoring")).exit_code == 1
    assert "monitoring since" in (await healthd("update", incident.id, "--state", "monitoring", "--reopen")).output
    assert "resolved since" in (await healthd("resolve", incident.id)).output
    assert incident.id not in (await healthd("list")).output
    assert incident.id in (await healthd("list", "--all")).output
    assert (await healthd("open", "Sunday", "--impact", "none")).output.count("Sunday: announced since") == 1
    assert "withdrawn: " in (await healthd("withdraw", incident.id)).output
    assert incident.id not in (await healthd("list", "--all")).output
    refused = await healthd("open", "x", "--component", "Chekout")
    assert (refused.exit_code, "did you mean Checkout?" in refused.output) == (1, True)
    assert (await healthd("open", "x", "--impact", "bad")).exit_code == 2
    monkeypatch.setenv("HEALTHD_TOKEN", "wrong")
    assert (await healthd("list")).exit_code == 3


async def _replica(site: Site) -> Incidents:
    """Another replica that shares the journal."""
    other = Incidents(IncidentStore(site.database, site.clock), site.clock, lambda: 90 * 86400)
    await other._load()
    return other


async def test_replicas_show_the_same(open_site: Open, tmp_path: Path) -> None:
    """What one was told, the others read; also when both wrote about one incident."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    _, made = await post(client, SLOW)
    other = await _replica(site)
    assert other.all() == site.incidents.all()
    first = site.incidents.all()[0].last
    at = site.clock.now()
    await other.add(first.model_copy(update={"id": "b", "text": "from the other", "at": at}), "incident.update")
    await post(client, {"text": "from here"}, f"/incidents/{made['id']}/updates")
    for replica in (other, site.incidents):
        await replica._load()
    assert other.all() == site.incidents.all()
    assert {it.text for it in other.all()[0].updates} == {"We look into it.", "from the other", "from here"}


async def test_what_was_written_while_the_journal_was_away_is_stored_later(open_site: Open, tmp_path: Path) -> None:
    """With its audit, once; until then it is shown here alone, and said to be."""
    site, client = await open_site(journal_url=f"sqlite:///{tmp_path}/journal.db", public_pages=PAGES)
    status, made = await post(client, SLOW)
    assert (status, made["stored"], len(site.incidents.all()), site.incidents.unsaved) == (201, False, 1, 1)
    await site.database.open()
    await site.incidents.flush()
    await site.incidents.flush()
    assert ((await _replica(site)).all(), site.incidents.unsaved) == (site.incidents.all(), 0)
    assert len(await Past(site.database).audit(action="incident.")) == 1
    listed = await (await client.get("/incidents", headers=bearer("reader"))).json()
    assert listed["incidents"][0]["stored"] is True


async def test_what_is_long_over_is_forgotten(open_site: Open, tmp_path: Path) -> None:
    """By the retention of the journal; what is still open stays."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    _, over = await post(client, SLOW)
    site.clock.seconds += 1
    await post(client, {"state": "resolved"}, f"/incidents/{over['id']}/updates")
    _, lasts = await post(client, {"title": "We move", "impact": "none"})
    site.clock.seconds += 91 * 86400
    replica = await _replica(site)
    await replica._clean()
    await replica._load()
    assert [it.id for it in replica.all()] == [lasts["id"]]


async def test_what_was_withdrawn_is_forgotten_after_a_day(open_site: Open, tmp_path: Path) -> None:
    """A script that opens and withdraws all the time fills no table that every replica reads."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    for _ in range(2):
        _, made = await post(client, SLOW)
        await client.delete(f"/incidents/{made['id']}", headers=bearer("writer"))
        site.clock.seconds += 86400 - 1
        replica = await _replica(site)
        await replica._clean()
    left = await IncidentStore(site.database, site.clock).load()
    assert ({it.incident for it in left.values()}, len(left)) == ({made["id"]}, 2)


async def test_many_updates_are_read_in_small_pieces(
    open_site: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health is answered meanwhile."""
    site, client = await opened(open_site, tmp_path, public_pages=PAGES)
    await post(client, SLOW)
    first, store = site.incidents.all()[0].last, IncidentStore(site.database, site.clock)
    await store.add([first.model_copy(update={"id": str(number)}) for number in range(1000)], [])
    read, most, unpack = 0, 0, Update.model_validate_json

    def counted(body: str) -> Update:
        nonlocal read
        read += 1
        return unpack(body)

    async def others() -> None:
        nonlocal most
        while True:
            before = read
            await asyncio.sleep(0)
            most = max(most, read - before)

    monkeypatch.setattr(Update, "model_validate_json", counted)
    running = asyncio.create_task(others())
    assert len(await store.load()) == 1001
    running.cancel()
    assert 0 < most <= 200
