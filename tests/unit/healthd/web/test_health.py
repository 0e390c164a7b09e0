"""The health endpoints, as load balancers, probes and people meet them."""

import asyncio
import json

import pytest

from healthd.model import FailureKind, Result
from tests.fakes.monitoring import DOWN, UP
from tests.servers.waiting import HANGS
from tests.unit.healthd.web.conftest import Client, Open, Site, bearer

PROBED = Result.healthy("12 connections", latency=0.0031, observed={"connections": 12})


async def get(client: Client, path: str, **headers: str) -> tuple[int, dict[str, object]]:
    response = await client.get(path, headers=headers)
    return response.status, json.loads(await response.read())


async def test_ready_shape(open_site: Open) -> None:
    """What the platform's probes parse: status, checks, timestamp."""
    site, client = await open_site()
    status, body = await get(client, "/health/ready")
    assert status == 503
    assert body == {
        "status": "not ready",
        "checks": {"db": {"status": "unknown"}},
        "timestamp": "2026-03-29T00:16:40.000Z",
    }
    site.put("db", UP)
    status, body = await get(client, "/health/ready")
    assert (status, body["status"]) == (200, "ready")


async def test_labels_are_details(open_site: Open) -> None:
    """Whoever may see the details sees whose check it is."""
    site, client = await open_site(checks={"db": {"kind": "process", "labels": {"team": "data"}}}, groups={})
    site.put("db", UP)
    _, body = await get(client, "/health", **bearer("reader"))
    assert body["checks"]["db"]["labels"] == {"team": "data"}  # type: ignore[index]
    _, body = await get(client, "/health")
    assert "labels" not in body["checks"]["db"]  # type: ignore[index]


async def test_live_shape(open_site: Open) -> None:
    """Alive as long as it answers, whatever its checks say."""
    site, client = await open_site()
    site.put("db", DOWN)
    assert await get(client, "/health/live") == (200, {"status": "alive", "timestamp": "2026-03-29T00:16:40.000Z"})


async def test_live_with_checks_of_its_own(open_site: Open) -> None:
    """Who names checks for liveness gets them, in the words of liveness."""
    site, client = await open_site(groups={"live": {"checks": ["db"]}})
    site.put("db", DOWN)
    status, body = await get(client, "/health/live")
    assert (status, body["status"]) == (503, "not alive")


async def test_overall_shape(open_site: Open) -> None:
    """What people and dashboards read."""
    site, client = await open_site()
    site.put("db", PROBED)
    site.clock.seconds += 5
    status, body = await get(client, "/health", **bearer("reader"))
    assert status == 200
    checks = body.pop("checks")
    assert body == {
        "overall": "degraded",  # mail never ran, and is not critical
        "timestamp": "2026-03-29T00:16:45.000Z",
        "uptime": 5.0,
        "version": "1.2.3",
        "environment": "test",
    }
    assert isinstance(checks, dict)
    assert checks["db"] == {
        "status": "healthy",
        "timestamp": "2026-03-29T00:16:40.000Z",
        "latency": 3.1,
        "duration": 12.5,
        "critical": True,
        "since": "2026-03-29T00:16:40.000Z",
        "message": "12 connections",
        "connections": 12,
    }


async def test_overall_is_503_when_a_critical_check_fails(open_site: Open) -> None:
    """And 200 when one fails that is not."""
    site, client = await open_site()
    site.put("db", UP)
    site.put("mail", DOWN)
    assert (await get(client, "/health"))[0] == 200
    for _ in range(3):
        site.put("db", DOWN)
    assert (await get(client, "/health"))[0] == 503


TRUSTING = {"trust_loopback": True}


@pytest.mark.parametrize(
    ("settings", "headers", "detailed"),
    [
        ({}, {}, False),
        ({}, bearer("reader"), True),
        ({}, bearer("root"), True),
        ({}, bearer("runner"), False),
        ({}, {"Authorization": "Bearer stale-token"}, False),
        ({}, {"Authorization": "Basic dTpw"}, False),
        ({}, {"Authorization": "Bearer \udcff"}, False),
        ({"http": {"details": "always"}}, {}, True),
        ({"http": {"details": "never"}}, bearer("root"), False),
        ({"auth": {}}, {}, False),
        ({"auth": TRUSTING}, {}, True),
        ({"auth": TRUSTING}, {"Host": "127.0.0.1:8080"}, True),
        ({"auth": TRUSTING}, {"Host": "[::1]:8080"}, True),
        ({"auth": TRUSTING}, {"Host": "rebound.attacker.io"}, False),
        ({"auth": TRUSTING}, {"X-Forwarded-For": "10.0.0.9"}, False),
        ({"auth": TRUSTING}, {"Origin": "https://attacker.io"}, False),
        ({"auth": TRUSTING, "http": {"listen": "0.0.0.0:8080"}}, {}, False),
    ],
)
async def test_who_sees_details(
    open_site: Open, settings: dict[str, object], headers: dict[str, str], detailed: bool
) -> None:
    """Messages and numbers are for the authorised; the status, and why, is for everyone, and nobody is turned away."""
    site, client = await open_site(**settings)
    site.put("db", Result.unhealthy(FailureKind.AUTH, "user app refused", observed={"host": "db.internal"}))
    status, body = await get(client, "/health/ready", **headers)
    assert status == 503
    checks = body["checks"]
    assert isinstance(checks, dict)
    assert checks["db"]["kind"] == "auth"
    assert ("message" in checks["db"], "host" in checks["db"]) == (detailed, detailed)


async def test_one_callers_details_are_not_served_to_another(open_site: Open) -> None:
    """Kept bytes are kept apart."""
    site, client = await open_site()
    site.put("db", PROBED)
    bodies = [(await client.get("/health", headers=headers)) for headers in (bearer("reader"), {}, bearer("reader"))]
    texts = [await response.text() for response in bodies]
    assert texts[0] == texts[2]
    assert "12 connections" not in texts[1]


async def test_ready_turns_red_exactly_when_stale(open_site: Open) -> None:
    """Kept bytes do not outlive the results that they were rendered from."""
    site, client = await open_site()
    site.put("db", UP)
    for seconds, status in ((31.0, 200), (0.999, 200), (0.001, 503)):
        site.clock.seconds += seconds
        assert (await get(client, "/health/ready"))[0] == status
    _, body = await get(client, "/health/ready")
    assert body["checks"] == {"db": {"status": "unknown", "timestamp": "2026-03-29T00:16:40.000Z", "overdue": True}}


async def test_kept_bytes_serve_until_something_changes(open_site: Open) -> None:
    """Within a second the same bytes; after it, or after a change, new ones."""
    site, client = await open_site()
    site.put("db", UP)

    async def body() -> bytes:
        return await (await client.get("/health/ready")).read()

    first = await body()
    site.clock.seconds += 0.9
    assert await body() == first
    site.put("mail", UP)
    second = await body()
    assert second != first
    site.clock.seconds += 1.0
    assert await body() != second


async def test_draining(open_site: Open) -> None:
    """Not ready at once, alive all the same."""
    site, client = await open_site()
    site.put("db", UP)
    assert (await get(client, "/health/ready"))[0] == 200
    site.board.drain()
    status, body = await get(client, "/health/ready")
    assert (status, body["status"], body["draining"]) == (503, "not ready", True)
    assert (await get(client, "/health/live"))[0] == 200


async def test_tolerated(open_site: Open) -> None:
    """Degraded, and still 200, where a shared failure is tolerated; a header says so."""
    checks = {"db": {"kind": "process", "scope": "shared", "critical": True}}
    site, client = await open_site(checks=checks, groups={"ready": {"checks": ["db"], "shared_failure": "degrade"}})
    site.put("db", DOWN)
    response = await client.get("/health/ready")
    assert (response.status, (await response.json())["status"]) == (200, "degraded")
    assert response.headers["X-Health-Status"] == "degraded"


async def test_groups(open_site: Open) -> None:
    """Own groups answer like ready; others do not exist, and those that do are named."""
    site, client = await open_site()
    site.put("db", UP)
    status, body = await get(client, "/health/own")
    assert (status, body["status"]) == (503, "not ready")
    status, body = await get(client, "/health/nothing")
    assert (status, body["title"]) == (404, "No such group")
    assert body["detail"] == "groups are: live, own, preflight, ready, startup"
    assert (await get(client, "/health/startup"))[0] == 200


async def test_maintenance_shows(open_site: Open) -> None:
    """Everyone sees that, and the authorised why and until when."""
    window = {"checks": ["db"], "from": "2026-03-29T00:00:00Z", "to": "2026-03-29T01:00:00Z", "reason": "upgrade"}
    site, client = await open_site(maintenance=[window])
    site.put("db", DOWN)
    status, body = await get(client, "/health/ready")
    assert (status, body["checks"]["db"]["maintenance"]) == (200, True)  # type: ignore[index]
    _, body = await get(client, "/health/ready", **bearer("reader"))
    told = {"reason": "upgrade", "until": "2026-03-29T01:00:00.000Z"}
    assert body["checks"]["db"]["maintenance"] == told  # type: ignore[index]
    site.clock.seconds = 3600
    assert (await get(client, "/health/ready"))[0] == 503


async def test_ietf_shape(open_site: Open) -> None:
    """Who asks for application/health+json gets the draft's shape and words."""
    site, client = await open_site()
    site.put("db", Result.degraded(FailureKind.LAGGING, "behind", latency=0.002))
    accept = {"Accept": "application/health+json"}
    response = await client.get("/health/ready", headers={**accept, **bearer("reader")})
    assert response.headers["Content-Type"] == "application/health+json"
    assert json.loads(await response.read()) == {
        "status": "warn",
        "releaseId": "1.2.3",
        "checks": {
            "db:responseTime": [
                {
                    "componentType": "process",
                    "status": "warn",
                    "time": "2026-03-29T00:16:40.000Z",
                    "observedValue": 2.0,
                    "observedUnit": "ms",
                }
            ]
        },
    }
    site.put("db", DOWN)
    site.put("db", DOWN)
    site.put("db", DOWN)
    status, body = await get(client, "/health/ready", **accept)
    assert (status, body["status"]) == (503, "fail")
    assert await get(client, "/health/live", **accept) == (200, {"status": "pass"})


async def test_headers(open_site: Open) -> None:
    """Nobody may keep an answer, a cache that does must tell callers apart, and no version is told to strangers."""
    _, client = await open_site()
    for path in ("/health/live", "/metrics", "/nowhere", "/"):
        assert "Server" not in (await client.get(path)).headers
    for path in ("/health", "/health/live", "/health/ready"):
        headers = (await client.get(path)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Vary"] == "Accept, Authorization, Cookie"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/health/startup", "/health/own"])
async def test_head_and_options(open_site: Open, path: str) -> None:
    """Both have the code of GET; HEAD has its length and no body."""
    site, client = await open_site()
    site.put("db", UP)
    get_, head, options = [await client.request(method, path) for method in ("GET", "HEAD", "OPTIONS")]
    assert get_.status == head.status == options.status
    assert (await head.read(), head.headers["Content-Length"]) == (b"", get_.headers["Content-Length"])
    assert options.headers["Allow"] == "GET, HEAD, OPTIONS"


async def raw(site: Site, client: Client, request: str) -> bytes:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request.encode())
    try:
        return await asyncio.wait_for(reader.read(), HANGS)
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_", "start"),
    [
        ("GET /health/live HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK"),
        ("GET /health/ready HTTP/1.0\r\n\r\n", b"HTTP/1.0 503 Service Unavailable"),
        ("OPTIONS / HTTP/1.0\r\n\r\n", b"HTTP/1.0 503 Service Unavailable"),
        ("GET /health/live HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK"),
        ("GET /health/live HTTP/1.1\r\nHost: a:b:c\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK"),
    ],
)
async def test_plain_clients(open_site: Open, request_: str, start: bytes) -> None:
    """HTTP/1.0 without a Host header, HAProxy's bare OPTIONS, odd hosts: they are answered, with no redirect."""
    site, client = await open_site()
    assert (await raw(site, client, request_)).startswith(start)


async def test_a_reload_shows_at_once(open_site: Open) -> None:
    """Nothing of the configuration before is kept."""
    site, client = await open_site()
    assert (await get(client, "/health"))[1]["version"] == "1.2.3"
    changed = site.read({"version": "2.0.0", "http": {"details": "always"}})
    site.in_force.replace(changed)
    assert (await get(client, "/health"))[1]["version"] == "2.0.0"


async def test_a_daemon_whose_tasks_are_stuck_is_not_alive(open_site: Open) -> None:
    """Nothing but a restart helps then; that a check is red is no reason for one."""
    site, client = await open_site()
    site.stuck = ("schedule",)
    site.clock.seconds += 2
    status, body = await get(client, "/health/live")
    assert (status, body["status"], body["tasks"]) == (503, "stuck", ["schedule"])
    site.stuck = ()
    site.clock.seconds += 2
    assert (await get(client, "/health/live"))[0] == 200
