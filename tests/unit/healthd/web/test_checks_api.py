"""Running a check and reporting in, for callers with a token."""

import asyncio
from typing import Any

import pytest

from healthd.model import Status
from tests.fakes.monitoring import UP, Scripted
from tests.servers.waiting import until
from tests.unit.healthd.web.conftest import Client, Open, bearer


async def post(client: Client, path: str, **headers: str) -> tuple[int, Any]:
    response = await client.post(path, headers=headers)
    return response.status, await response.json(content_type=None)


async def test_run(open_site: Open) -> None:
    """It probes, and answers with the check as it stands then."""
    site, client = await open_site()
    status, body = await post(client, "/checks/db/run", **bearer("runner"))
    assert status == 200
    assert (body["name"], body["status"]) == ("db", "healthy")
    assert site.board.check("db").status is Status.HEALTHY


async def test_runs_at_once_are_one_probe(open_site: Open) -> None:
    """Ten people who press the button cost one probe."""
    site, client = await open_site()
    check = Scripted(lambda: asyncio.sleep(0.7, UP))
    site.suite._monitors["db"].check = check
    answers = await asyncio.gather(*(post(client, "/checks/db/run", **bearer("runner")) for _ in range(10)))
    assert [status for status, _ in answers] == [200] * 10
    assert check.probes == 1


async def test_a_reload_in_mid_run(open_site: Open) -> None:
    """The caller is told, rather than left without an answer."""
    site, client = await open_site()

    async def hang() -> Any:
        await asyncio.sleep(60)

    site.suite._monitors["db"].check = check = Scripted(hang)
    asked = asyncio.create_task(post(client, "/checks/db/run", **bearer("runner")))
    await until(lambda: check.probes == 1, "the probe is under way")
    await site.suite.arrange(site.read({"checks": {"mail": {"kind": "process"}}, "groups": {}}))
    status, body = await asked
    assert (status, body["title"]) == (409, "Check changed")


@pytest.mark.parametrize(
    ("path", "headers", "status", "detail"),
    [
        ("/checks/db/run", {}, 401, "send a token as `Authorization: Bearer …`"),
        ("/checks/db/run", {"Authorization": "Bearer wrong"}, 401, "this token is not known"),
        ("/checks/db/run", bearer("reader"), 403, "token 'reader' lacks the scope checks:run"),
        ("/checks/nothing/run", bearer("runner"), 404, "checks are: db, mail, backup"),
        ("/heartbeats/backup", bearer("runner"), 403, "token 'runner' lacks the scope heartbeats:write"),
        ("/heartbeats/db", bearer("nightly"), 404, "heartbeats are: backup"),
        ("/heartbeats/nothing", bearer("nightly"), 404, "heartbeats are: backup"),
    ],
)
async def test_refusals(open_site: Open, path: str, headers: dict[str, str], status: int, detail: str) -> None:
    """Each says what is wrong, as problem+json, and a 401 says how to ask."""
    _, client = await open_site()
    response = await client.post(path, headers=headers)
    body = await response.json(content_type="application/problem+json")
    assert response.status == status
    assert body["detail"].startswith(detail)  # what comes behind is the cure
    assert (response.headers.get("WWW-Authenticate") is not None) == (status == 401)


async def test_without_tokens_only_this_host_may_read(open_site: Open) -> None:
    """Direct callers on this host, not those whom a proxy or a browser's page sends; and none may change anything."""
    site, client = await open_site(auth={"trust_loopback": True})
    site.put("db", UP)
    assert await details(client)
    assert (await post(client, "/checks/db/run"))[0] == 401
    for header in (
        "X-Forwarded-For",
        "Origin",
        "Via",
        "Forwarded",
        "X-Real-IP",
        "X-Forwarded-Host",
        "CDN-Loop",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Envoy-External-Address",
        "Sec-Fetch-Site",
    ):
        assert not await details(client, **{header: "x"}), header
        assert (await post(client, "/checks/db/run", **{header: "x"}))[0] == 401
    assert not await details(client, Host="rebound.attacker.io")


async def details(client: Client, **headers: str) -> bool:
    async with client.get("/health", headers=headers) as response:
        return "duration" in (await response.json())["checks"]["db"]


@pytest.mark.parametrize(("version", "reads"), [("1.0", False), ("1.1", True)])
async def test_a_proxy_that_hides_speaks_an_old_http(open_site: Open, version: str, reads: bool) -> None:
    """NGINX passes on with HTTP/1.0, its own Host and no other sign, unless it is configured."""
    site, client = await open_site(auth={"trust_loopback": True})
    site.put("db", UP)
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(f"GET /health HTTP/{version}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert (b"duration" in await reader.read()) == reads
    writer.close()


async def test_a_heartbeat_shows_at_once(open_site: Open) -> None:
    """What reports in is healthy from that moment, until its period and grace are over."""
    site, client = await open_site()
    status, body = await post(client, "/heartbeats/backup", **bearer("nightly"))
    assert (status, body["status"]) == (200, "healthy")
    site.clock.seconds += 3660
    await site.suite.probe("backup")
    assert site.board.check("backup").status is Status.UNHEALTHY
    await post(client, "/heartbeats/backup", **bearer("root"))
    assert site.board.check("backup").status is Status.HEALTHY
