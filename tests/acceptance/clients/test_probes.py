"""Probes byte by byte: the kubelet, load balancers of clouds, and clients that know little HTTP."""

import asyncio
from dataclasses import dataclass

from tests.acceptance.clients import dependent
from tests.servers import daemon, redis
from tests.servers.waiting import until

KUBELET = ["Host: 10.1.2.3:8080", "User-Agent: kube-probe/1.30", "Accept: */*", "Connection: close"]
CALLERS = [
    ("HTTP/1.1", *KUBELET),
    ("HTTP/1.1", "Host: 10.0.0.7:8080", "User-Agent: ELB-HealthChecker/2.0", "Connection: close"),
    ("HTTP/1.0",),
    ("HTTP/1.0", "Host: app.test"),
]
TIMEOUT = 1.0  # seconds, the kubelet's default


@dataclass(frozen=True)
class Answer:
    """One response of a connection that the peer closed after it."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(healthd: daemon.Daemon, line: str, *headers: str) -> Answer:
    """Send one request and read until the daemon closes. Raises TimeoutError as a kubelet would."""
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(healthd.host, healthd.port)
        writer.write("\r\n".join([line, *headers, "", ""]).encode())
        whole = await reader.read()
        writer.close()
    assert whole, f"closed without a byte: {line}; exit code {healthd.process.exit_code}; {healthd.log()[-3000:]}"
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in rest)}
    return Answer(int(first.split()[1]), fields, body)


async def test_kubelet_follows_a_dependency() -> None:
    """With Redis hung: not ready, yet alive and started; every answer is there within the second. Then ready again."""
    with redis.standalone() as server:
        async with dependent.on(server) as healthd:

            async def kubelet(path: str) -> int:
                return (await ask(healthd, f"GET {path} HTTP/1.1", *KUBELET)).status

            async def is_ready(ready: bool) -> bool:
                return await kubelet("/health/ready") == (200 if ready else 503)

            assert await kubelet("/health/startup") == 200
            server.pause()
            await until(lambda: is_ready(False), "the pod is taken out")
            assert [await kubelet(f"/health/{group}") for group in ("live", "startup", "ready")] == [200, 200, 503]
            server.resume()
            await until(lambda: is_ready(True), "the pod is back")


async def test_every_way_of_asking() -> None:
    """GET answers with JSON that nobody may keep; HEAD with the same head and no body; OPTIONS with what is allowed."""
    with redis.standalone() as server:
        async with dependent.on(server) as healthd:
            for path in ("/health", "/health/live", "/health/startup", "/health/ready"):
                for version, *headers in CALLERS:
                    got = await ask(healthd, f"GET {path} {version}", *headers)
                    assert got.status == 200
                    assert got.body.startswith(b"{")
                    assert got.headers["content-type"] == "application/json; charset=utf-8"
                    assert got.headers["cache-control"] == "no-store"
                    assert int(got.headers["content-length"]) == len(got.body)
                    assert "location" not in got.headers
                    head = await ask(healthd, f"HEAD {path} {version}", *headers)
                    assert (head.status, head.body) == (200, b"")
                    assert head.headers.keys() == got.headers.keys()
                    options = await ask(healthd, f"OPTIONS {path} {version}", *headers)
                    assert (options.status, options.headers["allow"]) == (200, "GET, HEAD, OPTIONS")


async def test_host_is_needed_by_http_1_1_alone() -> None:
    """RFC 9112 has a request in HTTP/1.1 without Host refused (3.2); it is, and the daemon is none the worse."""
    with redis.standalone() as server:
        async with dependent.on(server) as healthd:
            refused = await ask(healthd, "GET /health/ready HTTP/1.1", "Connection: close")
            assert refused.status == 400
            assert b"which has a Host header" in refused.body
            assert (await ask(healthd, "GET /health/ready HTTP/1.0")).status == 200
