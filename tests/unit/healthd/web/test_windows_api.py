"""Windows by the API and the command line, as the person on call sets them. The journal is down throughout."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from healthd.config.window import Window
from healthd.journal.past import Past
from healthd.journal.windows import WindowStore
from healthd.model import Status
from healthd.monitoring.windows import Windows
from healthd.notify.check_notices import check_notice
from healthd.notify.told import Memory, Told
from healthd.units import stamp
from healthd.web.auth import hash_token
from tests.fakes.monitoring import DOWN, UP
from tests.unit.healthd.web.conftest import Client, Open, bearer
from tests.unit.healthd.web.test_api_docs import fits
from tests.unit.healthd.web.test_history_api import opened

SILENCE = {"kind": "silence", "checks": ["db"], "for": "1h", "reason": "restoring"}


async def post(client: Client, body: Any, name: str = "ada") -> tuple[int, Any]:
    response = await client.post("/windows", json=body, headers=bearer(name))
    return response.status, await response.json(content_type=None)


async def test_a_silence_is_in_force_at_once_and_seen(open_site: Open) -> None:
    """In the answer, in the documents, in the list, and in metrics; its failures count as before."""
    site, client = await open_site()
    site.put("db", DOWN)
    status, made = await post(client, SILENCE)
    assert (status, made["author"], made["stored"], made["checks"]) == (201, "ada", False, ["db"])
    health = await (await client.get("/health", headers=bearer("reader"))).json()
    assert health["checks"]["db"]["silenced"] == {
        "reason": "restoring", "until": made["to"], "by": "ada", "id": made["id"]
    }  # fmt: skip
    ready = await client.get("/health/ready")
    assert (ready.status, (await ready.json())["checks"]["db"]["silenced"]) == (503, True)
    listed = await (await client.get("/windows", headers=bearer("reader"))).json()
    assert [window["id"] for window in listed["windows"]] == [made["id"]]
    metrics = await (await client.get("/metrics")).text()
    assert 'healthd_check_window{check="db",kind="silence"} 1.0' in metrics
    page = await (await client.get("/", headers=bearer("reader"))).text()
    assert "Silenced by ada until" in page
    site.clock.seconds += 3601
    assert "silenced" not in (await (await client.get("/health")).json())["checks"]["db"]


@pytest.mark.parametrize(("kind", "member"), [("maintenance", "maintenance"), ("pause", "paused")])
async def test_what_does_not_count(open_site: Open, kind: str, member: str) -> None:
    site, client = await open_site()
    site.put("db", DOWN)
    assert (await client.get("/health/ready")).status == 503
    status, made = await post(client, {**SILENCE, "kind": kind, "checks": "*"})
    ready = await client.get("/health/ready")
    assert (status, ready.status, (await ready.json())["checks"]["db"][member]) == (201, 200, True)
    ended = await client.delete(f"/windows/{made['id']}", headers=bearer("ada"))
    assert (ended.status, (await ended.json())["ended"]) == (200, True)
    assert (await client.get("/health/ready")).status == 503
    assert (await client.delete(f"/windows/{made['id']}", headers=bearer("ada"))).status == 404


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"checks": ["dbb"]}, "names 'dbb', which is not under checks; did you mean db?"),
        ({"groups": ["redy"]}, "names 'redy', which is not under groups; did you mean ready?"),
        ({"kind": "silent"}, "kind: must be "),
        ({"kind": "freeze"}, "has nothing to do with checks: leave that out"),
        (
            {"kind": "freeze", "checks": [], "services": ["chekout"]},
            "names 'chekout', which is not under services; did",
        ),
        ({"kind": "freeze", "checks": []}, "names nothing: write services or labels; `services: '*'` are all"),
        ({"services": ["checkout"]}, "has nothing to do with services: leave that out"),
        ({"checks": []}, "names nothing: write checks, groups or labels; `checks: '*'` are all"),
        ({"for": None}, "it needs an end: write for, such as 1h, or to"),
        ({"from": "9999-06-01T00:00:00Z"}, "from must be within a year from now"),
        ({"from": "9999-12-31T23:30:00Z"}, "from must be within a year from now"),
        (
            {"kind": "acknowledgement", "from": "9999-06-01T00:00:00Z", "for": None},
            "from must be within a year from now",
        ),
        ({"for": "1"}, "for: '1' is not a duration"),
        ({"for": "400d"}, "for must not be longer than a year: write at most 366d"),
        ({"to": "2099-01-01T00:00:00Z"}, "write to or for, not both"),
        ({"for": None, "to": "2001-01-01T00:00:00Z"}, "to must be later than from, and than now"),
        (
            {"from": "2001-01-01T00:00:00Z"},
            "it would be over already: write a later from, or a longer for",
        ),
        ({"for": None, "to": "2026-12-01T00:00:00"}, "to: needs a time zone"),
        ({"checks": ["nosuch-*"]}, "covers no check: none is called nosuch-*"),
        ({"checks": [], "labels": {"team": "a"}}, "covers no check: none has the label team=a"),
        ({"labels": {"team": ["a", "b"]}}, "covers no check: none has the label team=a|b"),
        (
            {"kind": "freeze", "checks": [], "labels": {"tema": "shop"}},
            "covers no service: none has the label tema=shop; did you mean team?",
        ),
        (
            {"kind": "freeze", "checks": [], "services": "mails", "labels": {"team": "shop"}},
            "covers no service: none is in all that it names",
        ),
        ({"reason": ""}, "reason: must not be empty"),
        ({"reason": "typo\n2026-11-01  root  gate.rollback  app"}, "reason: must be one line"),
        ({"reason": "typo\r\x1b[2K"}, "reason: must be one line"),
        ({"reason": "typo\u202eyob"}, "reason: must be one line"),
        ({"reason": "typo\u2028root"}, "reason: must be one line"),
        ({"chekcs": []}, "chekcs: no such field; did you mean checks?"),
        ({"kind": "sillence"}, "kind: must be "),
    ],
)
async def test_refusals(open_site: Open, change: dict[str, Any], detail: str) -> None:
    """Each says what to write instead; nothing is in force."""
    site, client = await open_site()
    status, body = await post(client, {key: value for key, value in (SILENCE | change).items() if value is not None})
    assert status == 422
    assert body["detail"].startswith(detail)
    assert site.windows.all() == []


async def test_all_that_is_wrong_is_told_at_once(open_site: Open) -> None:
    """With the nearest word for each name, and by field for programs; what a wrong one would cause is left out."""
    _, client = await open_site()
    wrong = {"kind": "sillence", "checks": ["dbb"], "groups": ["redy"], "servcies": [], "for": "400d", "reason": "a\nb"}
    _, body = await post(client, wrong)
    told = body["detail"].split("; ")
    assert told == [
        "kind: must be 'maintenance', 'silence', 'pause', 'acknowledgement' or 'freeze'",
        "did you mean silence?",
        "reason: must be one line: it has a line break or another character that cannot be printed",
        "servcies: no such field",
        "did you mean services?",
        "names 'dbb', which is not under checks",
        "did you mean db?",
        "names 'redy', which is not under groups",
        "did you mean ready?",
        "for must not be longer than a year: write at most 366d",
    ]
    assert [each["field"] for each in body["errors"]] == ["kind", "reason", "servcies", "", "", ""]


@pytest.mark.parametrize(("method", "path"), [("GET", "/windows"), ("POST", "/windows"), ("DELETE", "/windows/x")])
async def test_scopes(open_site: Open, method: str, path: str) -> None:
    """Nobody without a token, nor with another's scope."""
    _, client = await open_site()
    assert (await client.request(method, path)).status == 401
    assert (await client.request(method, path, headers=bearer("nightly"))).status == 403
    allowed = await client.request(method, path, headers=bearer("reader" if method == "GET" else "ada"))
    assert allowed.status not in (401, 403)


async def test_answers_are_as_described(open_site: Open) -> None:
    site, client = await open_site()
    document = site.api_docs.document()
    for body in (SILENCE, {**SILENCE, "labels": {"team": "x"}}, {}, "no"):
        answer = await client.post("/windows", data=json.dumps(body), headers=bearer("ada"))
        await fits(document, "/windows", "post", answer, answer.content_type)
    answer = await client.post("/windows", data=b"{", headers=bearer("ada"))
    await fits(document, "/windows", "post", answer, answer.content_type)
    assert answer.status == 400
    answer = await client.get("/windows", headers=bearer("reader"))
    await fits(document, "/windows", "get", answer, answer.content_type)
    for key in (site.windows.all()[0].id, "nothing"):
        answer = await client.delete(f"/windows/{key}", headers=bearer("ada"))
        await fits(document, "/windows/{id}", "delete", answer, answer.content_type)


async def test_an_acknowledgement_ends_with_the_failure(open_site: Open) -> None:
    """Of each check that it covers: what one fails of next is news, however long the other is down."""
    site, client = await open_site()
    site.put("db", DOWN)
    site.put("mail", DOWN)
    status, made = await post(client, {"kind": "acknowledgement", "checks": ["db", "mail"], "reason": "on it"})
    assert (status, made["until_healthy"]) == (201, True)
    assert made["to"] == stamp(site.clock.now() + timedelta(days=30))  # which earlier commands need
    site.clock.seconds += 29 * 86400  # which is no reason to end it
    assert made["id"] in [it.id for it in site.windows.all()]
    health = await (await client.get("/health", headers=bearer("reader"))).json()
    assert health["checks"]["db"]["acknowledged"] == {
        "reason": "on it", "until": made["to"], "until_healthy": True, "by": "ada", "id": made["id"]
    }  # fmt: skip
    assert (
        "Acknowledged by ada until it is healthy: on it"
        in await (await client.get("/checks/db", headers=bearer("reader"))).text()
    )
    for name in ("db", "mail"):
        assert site.board.check(name).covered("acknowledgement") is not None
        told = len(site.transitions)
        site.put(name, (await site.suite.probe(name)).result)
        site.put(name, (await site.suite.probe(name)).result)
        for transition in site.transitions[told:]:
            site.windows.changed(transition)
        assert site.board.check(name).covers == ()
        assert [it.checks for it in site.windows.all()] == ([("mail",)] if name == "db" else [])
    assert site.windows.all() == []


async def test_an_acknowledgement_of_what_is_never_healthy_again_ends(open_site: Open) -> None:
    """After thirty days: else what fails beside it would be news to nobody for a year."""
    site, client = await open_site()
    site.put("db", DOWN)
    site.put("mail", DOWN)
    assert (await post(client, {"kind": "acknowledgement", "checks": "*", "reason": "on it"}))[0] == 201
    site.clock.seconds += 31 * 86400
    assert site.windows.all() == []


async def test_a_second_acknowledgement_takes_the_place_of_the_first(open_site: Open, tmp_path: Path) -> None:
    """Of the same checks, or of more; the audit has both, and who ended the first. What covers more stays."""
    people = [{"name": it, "hash": hash_token(f"{it}-token"), "role": "operator"} for it in ("ada", "max")]
    site, client = await opened(open_site, tmp_path, auth={"tokens": people})
    for name in ("db", "mail"):
        site.put(name, DOWN)
    wanted = {"kind": "acknowledgement", "checks": ["db"], "reason": "on it"}
    _, silence = await post(client, SILENCE)
    _, first = await post(client, wanted)
    _, second = await post(client, {**wanted, "reason": "still", "for": "2h"}, "max")
    assert [it.id for it in site.windows.all() if it.kind == "acknowledgement"] == [second["id"]]
    assert second["to"] == stamp(site.clock.now() + timedelta(hours=2))
    _, both = await post(client, {**wanted, "checks": "*", "reason": "all of it"})
    _, again = await post(client, wanted)
    assert {it.id for it in site.windows.all()} == {silence["id"], both["id"], again["id"]}
    rows = [(row.caller, row.action, row.subject) for row in await Past(site.database).audit(action="window.")]
    assert rows[::-1][1:5] == [
        ("ada", "window.add", first["id"]),
        ("max", "window.end", first["id"]),
        ("max", "window.add", second["id"]),
        ("ada", "window.end", second["id"]),
    ]


async def test_a_window_is_ended_that_another_replica_has_just_added(open_site: Open, tmp_path: Path) -> None:
    """By its id or the beginning of it; what nobody has is said to be no window, once the journal was asked."""
    site, client = await opened(open_site, tmp_path)
    await site.windows.refresh()
    other = Windows(site.board, WindowStore(site.database, site.clock), site.clock)
    now = site.clock.now()
    times = {"from": now, "to": now + timedelta(hours=1)}
    added = {"id": "5f0c2a91", "kind": "silence", "checks": ["db"], "reason": "x", "author": "max", **times}
    await other.add(Window.model_validate(added))
    assert (await client.delete("/windows/5f0c", headers=bearer("ada"))).status == 200
    await other.refresh()
    assert other.all() == []
    assert (await client.delete("/windows/5f0c", headers=bearer("ada"))).status == 404


async def test_an_acknowledgement_of_what_is_healthy_is_refused(open_site: Open) -> None:
    """It would hold back the reminders of the next failure; one that another replica told is acknowledged here too."""
    site, client = await open_site()
    wanted = {"kind": "acknowledgement", "checks": ["db"], "reason": "on it"}
    assert (await post(client, wanted))[0] == 201  # of which nothing is known yet
    site.put("db", DOWN)
    site.clock.seconds += 60
    for _ in range(3):
        site.put("db", UP)
    status, said = await post(client, wanted)
    assert (status, said["title"]) == (409, "Nothing to acknowledge")
    assert said["detail"].startswith(
        f"db is healthy since {stamp(site.clock.now())}: there is nothing to acknowledge; "
    )
    site.put("mail", UP)
    _, said = await post(client, {**wanted, "checks": ["db", "mail"]})
    assert said["detail"].startswith("all 2 checks that it covers are healthy: ")
    for _ in range(3):
        site.put("mail", DOWN)
    assert (await post(client, {**wanted, "checks": ["db", "mail"]}))[0] == 201
    memory = Memory(None)
    site.windows_api.is_told = memory.is_firing
    failing = check_notice(replace(site.board.check("db"), status=Status.UNHEALTHY), "b", site.clock.now())
    for subject, expected in (("check:dbs", 409), ("check:db@b", 201), ("check:db", 201)):
        memory.note("slack/1", subject, Told(failing, site.clock.now()))
        assert (await post(client, wanted))[0] == expected
        memory.note("slack/1", subject, None)
    assert (await post(client, {**wanted, "kind": "silence", "for": "1h"}))[0] == 201


async def test_by_the_command_line(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add, list, end; what is refused ends with 1, what could not be asked with 3."""
    site, client = await open_site(checks={"db": {"kind": "process", "labels": {"team": "shop"}}}, groups={})
    monkeypatch.setenv("HEALTHD_URL", str(client.make_url("")))
    monkeypatch.setenv("HEALTHD_TOKEN", "root-token")

    async def healthd(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["window", *words])

    assert "no windows" in (await healthd("list")).output
    added = await healthd("add", "silence", "--check", "d*", "--label", "team=shop", "--for", "1h", "--reason", "later")
    (window,) = site.windows.all()
    assert (added.exit_code, window.author, window.checks, window.labels) == (0, "root", ("d*",), {"team": ("shop",)})
    assert f"{window.id}  silence of d* team=shop, " in added.output
    assert "in force on this replica alone" in added.output
    assert window.id in (await healthd("list")).output
    assert (await healthd("end", window.id[:6])).exit_code == 0
    ended = await healthd("end", window.id)
    said = f"no window '{window.id}' is in force or to come: it has ended, or there was none; `healthd window list`"
    assert (ended.exit_code, said in ended.output) == (1, True)
    refused = await healthd("add", "silence", "--check", "dbb", "--for", "1h", "--reason", "x")
    assert (refused.exit_code, "did you mean db?" in refused.output) == (1, True)
    assert (await healthd("add", "silence", "--label", "team", "--for", "1h", "--reason", "x")).exit_code == 2
    monkeypatch.setenv("HEALTHD_TOKEN", "wrong")
    assert (await healthd("list")).exit_code == 3
    monkeypatch.setenv("HEALTHD_URL", "http://127.0.0.1:1")
    assert (await healthd("list")).exit_code == 3


async def test_the_beginning_of_an_id_will_do_if_it_is_unique(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could mean two windows ends neither; a whole id always means its own."""
    site, client = await open_site()
    for key in ("5f0c2a91", "5f0d0000", "5f0c2a9"):
        monkeypatch.setattr("secrets.token_hex", lambda _size, key=key: key)
        assert (await post(client, SILENCE))[0] == 201
    answer = await client.delete("/windows/5f", headers=bearer("ada"))
    assert (answer.status, len(site.windows.all())) == (409, 3)
    assert "begin with 5f" in (await answer.json())["detail"]
    for key, ended in (("5f0c2a9", "5f0c2a9"), ("5f0d", "5f0d0000"), ("5", "5f0c2a91")):
        answer = await client.delete(f"/windows/{key}", headers=bearer("ada"))
        assert (await answer.json())["id"] == ended


async def test_status_shows_what_is_covered(open_site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A paused check must not pass for a watched one; who may not see details sees that much."""
    site, client = await open_site()
    site.put("db", DOWN)
    _, made = await post(client, {**SILENCE, "kind": "pause", "reason": "moving"})
    await post(client, {**SILENCE, "checks": ["mail"]})
    await post(client, {"kind": "acknowledgement", "checks": ["backup"], "reason": "on it"})
    await post(client, {**SILENCE, "kind": "maintenance", "checks": ["mail"], "reason": "upgrade"})
    monkeypatch.setenv("HEALTHD_URL", str(client.make_url("")))
    monkeypatch.setenv("HEALTHD_TOKEN", "root-token")
    shown = (await asyncio.to_thread(CliRunner().invoke, main, ["status"])).output
    until = made["to"].replace("T", " ")[:16]
    assert f"paused until {until} UTC by ada: moving; refused" in shown
    assert f"silenced until {until} UTC by ada: restoring" in shown
    assert f"in maintenance until {until} UTC by ada: upgrade; silenced" in shown
    assert "acknowledged until healthy by ada: on it" in shown
    listed = (await asyncio.to_thread(CliRunner().invoke, main, ["window", "list"])).output
    assert " until healthy, by ada: on it" in listed
    assert listed.count(f" to {made['to']}, by ada") == 3
    monkeypatch.delenv("HEALTHD_TOKEN")
    shown = (await asyncio.to_thread(CliRunner().invoke, main, ["status"])).output
    assert ("paused" in shown, "in maintenance; silenced" in shown, "moving" in shown, "upgrade" in shown) == (
        True,
        True,
        False,
        False,
    )


async def test_a_run_of_a_paused_check_says_that_it_is_paused(open_site: Open) -> None:
    """And not that it is in maintenance."""
    _, client = await open_site()
    await post(client, {**SILENCE, "kind": "pause"})
    ran = await (await client.post("/checks/db/run", headers=bearer("runner"))).json()
    assert (ran["paused"]["reason"], "maintenance" in ran) == ("restoring", False)


async def test_what_the_journal_has_is_not_known_before_it_was_read(
    open_site: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that may lack windows is not told as none, nor an id that may be one as unknown."""
    site, client = await open_site()
    site.windows._is_read = site.incidents._is_read = False
    monkeypatch.setenv("HEALTHD_URL", str(client.make_url("")))
    monkeypatch.setenv("HEALTHD_TOKEN", "root-token")
    listed = await client.get("/windows", headers=bearer("root"))
    assert await listed.json() == {"windows": [], "complete": False}
    for words in (["window", "list"], ["window", "end", "5f0c"], ["incident", "list"]):
        told = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert told.exit_code == 3, words
        assert "journal cannot be read now" in told.output
        assert "that are not known here" in told.output
