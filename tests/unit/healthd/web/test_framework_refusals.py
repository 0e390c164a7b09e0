"""What aiohttp refuses by itself, before or beside a handler: always a problem document, which programs can read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from healthd.web import connections as web_connections
from healthd.web import server
from healthd.web.refusals import Refusals
from tests.servers.waiting import HANGS
from tests.unit.healthd.web.conftest import Open, Site
from tests.unit.healthd.web.public.test_page import PAGES

PROBLEM = "application/problem+json"
LARGE = b"x" * (64 * 1024 + 1)
ROOT = b"Host: localhost\r\nAuthorization: Bearer root-token\r\n"


def request(line: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    return line + b" HTTP/1.1\r\n" + ROOT + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[int]:
    """The port of a server that also refuses what is no request."""
    http = await server.listen(site.app, "127.0.0.1:0", Refusals())
    try:
        yield http.port
    finally:
        await http.close()


async def answer(port: int, sent: bytes) -> tuple[int, str, Any]:
    """Status, content type and document of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(HANGS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()
    return (
        int(head[0].split(" ")[1]),
        (kind := headers.get("content-type", "").split(";")[0]),
        json.loads(body) if "json" in kind else {},
    )


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        (request(b"POST /incidents", body=LARGE), 413, "a body may have 64 KiB"),
        (request(b"GET /nothing"), 404, "no such call; /openapi.json describes them all."),
        (request(b"POST /health", body=b"{}"), 405, "POST is not answered here; allowed: GET, HEAD, OPTIONS."),
        (request(b"PUT /incidents"), 405, "PUT is not answered here; allowed: GET, HEAD, POST."),
        (request(b"POST /incidents", b"Expect: a miracle\r\n", b"{}"), 417, "Unknown Expect: a miracle"),
        (request(b"POST /incidents", b"Content-Encoding: gzip\r\n", b"{"), 400, None),
        (request(b"BREW /incidents"), 400, "this is no request of HTTP/1.1"),
        (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "this is no request of HTTP/1.1, which has a Host header"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "this is no request of HTTP/1.1"),
        (b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "the head of a request may have 32 KiB"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, "a request may have 128 headers"),
        (b"GET / HT", 408, "must arrive within 10 s"),
    ],
    ids=lambda it: str(it)[:40] if isinstance(it, str) else None,
)
async def test_every_kind(
    open_site: Open, sent: bytes, status: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by status, with what is wrong."""
    site, _ = await open_site(public_pages=PAGES)
    monkeypatch.setattr(web_connections, "_SWEEP", 0.05)
    if status == 408:
        monkeypatch.setattr(web_connections.Connections.__init__, "__kwdefaults__", {"head_seconds": 0.1})
    async with listening(site) as port:
        got, kind, document = await answer(port, sent)
    assert (got, kind, document["status"]) == (status, PROBLEM, status)
    assert document["title"]
    if told is not None:
        assert told in document["detail"]


async def test_every_call_that_reads_a_body(open_site: Open) -> None:
    """None answers one that is too large in another way; pages for people say it on a page."""
    site, _ = await open_site(public_pages=PAGES)
    seen = set()
    async with listening(site) as port:
        for route in site.app.router.routes():
            if route.method not in ("POST", "PUT", "PATCH", "DELETE") or route.resource is None:
                continue
            path = route.resource.canonical.replace("{check}", "db").replace("{heartbeat}", "backup")
            sent = request(f"{route.method} {path}".replace("{", "").replace("}", "").encode(), body=LARGE)
            status, kind, document = await answer(port, sent)
            seen.add((path, status))
            assert status < 400 or kind == "text/html" or (kind, document["status"]) == (PROBLEM, status), (path, kind)
    assert {path for path, status in seen if status == 413} >= {"/incidents", "/windows"}, seen


@pytest.mark.parametrize("length", [66_000, 3_000_000])
async def test_the_command_line_names_the_limit(open_site: Open, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """It is healthd that answers, and no other program."""
    site, _ = await open_site(public_pages=PAGES)
    monkeypatch.setenv("HEALTHD_TOKEN", "root-token")

    async def healthd(*said: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, [*said])

    async with listening(site) as port:
        monkeypatch.setenv("HEALTHD_URL", f"http://127.0.0.1:{port}")
        result = await healthd("incident", "open", "Payments fail", "--text", "x" * length)
        assert (result.exit_code, result.stderr) == (1, "refused (413): a body may have 64 KiB\n")
        result = await healthd("window", "add", "silence", "--for", "1h", "--reason", "x" * length, "--check", "db")
        assert (result.exit_code, result.stderr) == (1, "refused (413): a body may have 64 KiB\n")
