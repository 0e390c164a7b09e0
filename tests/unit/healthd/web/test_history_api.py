"""The past by the API and the command line, from a real journal."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from healthd.journal.journal import AuditEntry, Journal, write_audit
from healthd.model import FailureKind, Probe, Status, Transition
from healthd.model import Result as Found
from tests.fakes.monitoring import UP
from tests.unit.healthd.web.conftest import Client, Open, Site, bearer
from tests.unit.healthd.web.test_api_docs import fits

HOUR = timedelta(hours=1)


async def opened(open_site: Open, tmp_path: Path, **options: Any) -> tuple[Site, Client]:
    site, client = await open_site(journal_url=f"sqlite:///{tmp_path}/journal.db", **options)
    await site.database.open()
    return site, client


async def store(site: Site, *changes: tuple[str, float, Status, Status, str]) -> None:
    """Transitions: check, hours before now, old, new, message."""
    journal = Journal(site.database, site.clock, lambda: 90 * 86400)
    for check, hours, old, new, message in changes:
        moment = site.clock.now() - hours * HOUR
        kind = None if new is Status.HEALTHY else FailureKind.CONNECT
        journal.changed(Transition(check, old, new, moment, Probe(moment, 0.1, Found(new, kind, message))))
    await journal.flush()


def _outage(check: str, hours: float, lasts: float) -> tuple[tuple[str, float, Status, Status, str], ...]:
    return (
        (check, hours, Status.HEALTHY, Status.UNHEALTHY, "connection refused"),
        (check, hours - lasts, Status.UNHEALTHY, Status.HEALTHY, ""),
    )


async def get(client: Client, path: str, name: str = "reader") -> Any:
    response = await client.get(path, headers=bearer(name))
    assert response.status == 200, await response.text()
    return await response.json()


async def test_uptime_of_checks_and_groups(open_site: Open, tmp_path: Path) -> None:
    """Over four periods; a group is down while any of its checks is."""
    site, client = await opened(open_site, tmp_path)
    site.put("db", UP)
    site.put("mail", UP)
    await store(site, *_outage("db", 12, 2.4), *_outage("mail", 10, 1.2), *_outage("db", 24 * 20, 24))
    document = await get(client, "/history")
    periods = document["checks"]["db"]["uptime"]
    assert {name: period["uptime"] for name, period in periods.items()} == {
        "24h": 0.9, "7d": round(1 - 2.4 / 168, 6), "30d": round(1 - 26.4 / 720, 6), "90d": round(1 - 26.4 / 2160, 6)
    }  # fmt: skip
    assert {period["known"] for period in periods.values()} == {1.0}
    assert document["groups"]["own"]["uptime"]["24h"]["uptime"] == round(1 - 3.2 / 24, 6)
    assert set(document["groups"]) == {"own", "preflight", "ready"}  # a failure does not end `startup`
    await store(site, *_outage("db", 6, 1))
    assert await get(client, "/history") == document
    site.clock.seconds += 31
    assert await get(client, "/history") != document


async def test_maintenance_and_pauses_are_left_out(open_site: Open, tmp_path: Path) -> None:
    """Those of the configuration, and those that callers added and perhaps ended early."""
    planned = {"cron": "0 2 * * *", "for": "1h", "checks": "db", "reason": "backup"}
    site, client = await opened(open_site, tmp_path, maintenance=[planned])
    site.put("db", UP)
    now = site.clock.now()
    since_two = ((now - now.replace(hour=2, minute=0, second=0)).total_seconds() / 3600) % 24
    await store(site, *_outage("db", since_two, 1))
    assert (await get(client, "/history/db"))["uptime"]["24h"]["uptime"] == 1.0
    await store(site, *_outage("db", 24 * 5, 4))
    rows = [
        (5 * 24, AuditEntry("ada", "window.add", "w1", {"kind": "pause", "until": now, "checks": ["db"]})),
        (5 * 24 - 4, AuditEntry("ada", "window.end", "w1", {"kind": "pause"})),
        (5 * 24, AuditEntry("ada", "window.add", "w2", {"kind": "silence", "until": now, "checks": ["db"]})),
    ]
    async with site.database.write() as connection:
        for hours, entry in rows:
            await write_audit(connection, now - hours * HOUR, entry)
    found = await get(client, "/history/db")
    assert found["uptime"]["7d"]["uptime"] == 1.0
    assert len(found["failures"]) == 2


async def test_the_failures_of_a_check(open_site: Open, tmp_path: Path) -> None:
    """The latest first, the one that lasts without an end; as described, and without secrets."""
    site, client = await opened(open_site, tmp_path)
    await store(
        site,
        *_outage("db", 30, 1),
        ("db", 3, Status.HEALTHY, Status.DEGRADED, "slow"),
        ("db", 2, Status.DEGRADED, Status.UNHEALTHY, "gone"),
    )
    found = await get(client, "/history/db")
    told = [(it["status"], it["message"], it["changes"], "to" in it) for it in found["failures"]]
    assert told == [("unhealthy", "slow", 2, False), ("unhealthy", "connection refused", 1, True)]
    assert found["lastHealthy"] == found["failures"][0]["from"]
    assert len((await get(client, "/history/db?days=1"))["failures"]) == 1
    document = site.api_docs.document()
    for path, described in (("/history", "/history"), ("/history/db", "/history/{name}")):
        answer = await client.get(path, headers=bearer("reader"))
        await fits(document, described, "get", answer, answer.content_type)
    for path, status in (("/history/dbb", 404), ("/history/db?days=0", 400), ("/history/db?dayz=1", 400)):
        answer = await client.get(path, headers=bearer("reader"))
        await fits(document, "/history/{name}", "get", answer, answer.content_type)
        assert answer.status == status


async def test_a_group_is_told_from_a_check_that_there_is_not(open_site: Open, tmp_path: Path) -> None:
    site, client = await opened(open_site, tmp_path)
    site.put("db", UP)
    told = {}
    for path in ("/history/ready", "/history/live", "/history/dbb"):
        answer = await client.get(path, headers=bearer("reader"))
        told[path] = (await answer.json())["detail"]
    assert told == {
        "/history/ready": "ready is a group, and failures are kept by check: ask for db",
        "/history/live": "live is a group, and failures are kept by check: it has none",
        "/history/dbb": "no check is called 'dbb'. Did you mean db?",
    }


async def test_audit_by_its_filters(open_site: Open, tmp_path: Path) -> None:
    """Who, what, of what, since when; page by page."""
    site, client = await opened(open_site, tmp_path)
    now = site.clock.now()
    async with site.database.write() as connection:
        for number in range(5):
            entry = AuditEntry("ada" if number % 2 else "kim", "gate.cancel", f"g{number}", {"reason": f"r{number}"})
            await write_audit(connection, now - number * HOUR, entry)
        await write_audit(connection, now, AuditEntry("ada", "gate_x", "g9"), AuditEntry("ada", "window.add", "w"))

    async def subjects(query: str) -> list[str]:
        return [entry["subject"] for entry in (await get(client, f"/audit{query}", "auditor"))["entries"]]

    assert await subjects("") == ["w", "g9", "g4", "g3", "g2", "g1", "g0"]
    assert await subjects("?caller=kim") == ["g4", "g2", "g0"]
    assert await subjects("?action=gate.") == ["g4", "g3", "g2", "g1", "g0"]
    assert await subjects("?action=window.add&caller=ada") == ["w"]
    assert await subjects("?subject=g3") == ["g3"]
    since = (now - 1.5 * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await subjects(f"?action=gate.&since={since}") == ["g1", "g0"]
    page = await get(client, "/audit?limit=3", "auditor")
    assert await subjects(f"?limit=3&before={page['next']}") == ["g3", "g2", "g1"]
    document = site.api_docs.document()
    far = ("?since=9999-12-31T23:59:59-14:00", "?since=0001-01-01T00:00:00%2B14:00")
    for query in ("", "?limit=0", "?since=yesterday", *far):
        answer = await client.get(f"/audit{query}", headers=bearer("auditor"))
        await fits(document, "/audit", "get", answer, answer.content_type)
        if "since" in query:
            assert (answer.status, "since" in await answer.text()) == (400, True)
    assert site.database.works


@pytest.mark.parametrize(("path", "name"), [("/history", "reader"), ("/history/db", "reader"), ("/audit", "auditor")])
async def test_scopes_and_a_journal_that_is_down(open_site: Open, path: str, name: str) -> None:
    """Nobody without a token, nor with another's scope; 503, and health is served."""
    _, client = await open_site()
    assert (await client.get(path)).status == 401
    assert (await client.get(path, headers=bearer("nightly"))).status == 403
    assert (await client.get(path, headers=bearer(name))).status == 503
    assert (await client.get("/health/live")).status == 200


async def test_by_the_command_line(open_site: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Percentages are rounded down: 100 % means that it was never down."""
    site, client = await opened(open_site, tmp_path)
    site.put("db", UP)
    await store(site, *_outage("db", 12, 2.4), *_outage("db", 24 * 80, 0.001))
    async with site.database.write() as connection:
        await write_audit(connection, site.clock.now(), AuditEntry("ada", "window.end", "w1", {"kind": "silence"}))
    monkeypatch.setenv("HEALTHD_URL", str(client.make_url("")))
    monkeypatch.setenv("HEALTHD_TOKEN", "root-token")

    async def healthd(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, list(words))

    everything = (await healthd("history")).output
    assert next(li.split()[:3] for li in everything.splitlines() if " own" in li) == ["group", "own", "90.000%"]
    one = (await healthd("history", "db")).output
    assert "uptime  24h 90.000%  7d 98.571%" in one
    assert "unhealthy (connect): connection refused" in one
    await store(site, ("mail", 12, Status.UNKNOWN, Status.HEALTHY, ""))
    assert "24h 100.000% (of 50% known)" in (await healthd("history", "mail")).output
    assert json.loads((await healthd("history", "db", "--json")).output)["name"] == "db"
    wrong = await healthd("history", "dbb")
    assert (wrong.exit_code, "Did you mean db?" in wrong.output) == (1, True)
    assert "ada  window.end  w1  kind silence" in (await healthd("audit", "--action", "window.")).output
    assert "no change of this kind" in (await healthd("audit", "--caller", "nobody")).output
    assert (await healthd("audit", "--since", "yesterday")).exit_code == 1
    monkeypatch.setenv("HEALTHD_TOKEN", "reader-token")
    assert (await healthd("audit")).exit_code == 3
