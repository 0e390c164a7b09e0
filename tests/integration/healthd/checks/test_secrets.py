"""No failure of a network check tells a secret: marked ones are sent to peers that echo, refuse, hang and break."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from healthd import logs
from healthd.config.sections import Log
from healthd.runtime.redaction import Redactor
from tests.integration.healthd.checks.probing import watched
from tests.servers import ports, streams, tcp, tls

MARK = "MARK7f3a"


def checks_of(url: str) -> dict[str, dict[str, Any]]:
    """Every kind with secrets, pointed at `url`, with a mark wherever one can be."""
    scheme, _, address = url.partition("://")
    host, _, port = address.rpartition(":")
    request: dict[str, Any] = {
        "url": f"{scheme}://user-{MARK}:pass-{MARK}@{address}/path-{MARK}?token={MARK}",
        "headers": {"X-Token": f"Bearer {MARK}"},
        "body": f'{{"password": "{MARK}"}}',
        "method": "POST",
    }
    body = {"contains": "never there", "matches": "never", "json": [{"path": "echo", "equals": "never"}]}
    return {
        "http": request | {"expect": body | {"headers": [{"name": "X-Echo", "equals": "never"}]}},
        "headers": request | {"expect": {"headers": [{"name": "X-Echo", "max_age": "1d"}]}},
        "http of a proxy": {
            "url": "http://shop.test/",
            "proxy": f"http://user-{MARK}:pass-{MARK}@{address}",
            "expect": body,
        },
        "http of a token server": {
            "url": url,
            "oauth2": {"token_url": url, "client_id": "shop", "client_secret": f"secret-{MARK}"},
        },
        "stripe": {"key": f"sk_test_{MARK}", "base_url": url},
        "sendgrid": {"key": f"SG.{MARK}", "base_url": url},
        "tcp": {"host": host, "port": int(port), "send": f"AUTH {MARK}\r\n\r\n", "expect": "never there"},
        "websocket": {
            "url": request["url"].replace("http", "ws", 1),
            "headers": request["headers"],
            "send": f'{{"password": "{MARK}"}}',
            "expect": {"contains": "never there"},
        },
        "grpc": {
            "host": host,
            "port": int(port),
            "security": "tls" if scheme == "https" else "none",
            "metadata": {"authorization": f"Bearer {MARK}"},
        },
        "aws": {
            "region": "eu-west-1",
            "endpoint_url": url,
            "access_key_id": f"AKIA{MARK}",
            "secret_access_key": f"secret-{MARK}",
            "session_token": f"session-{MARK}",
        },
    }


@pytest.fixture
def debug_logs(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """All that the daemon would log at its most talkative, with a redaction that knows no secret."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.configure(Log(level="debug", format="json"), Redactor())
    try:
        yield capfd
    finally:
        root.handlers[:], root.level = before, level


@asynccontextmanager
async def echoing(status: int, tls_files: Path | None = None) -> AsyncIterator[str]:
    """Repeats whatever it is sent in a header, in the reason and in the body of its answer."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        said = b"".join(line for line in head.splitlines() if MARK.encode() in line)
        body = b'{"echo": "' + said.replace(b'"', b"'") + b'"}'
        writer.write(b"HTTP/1.1 %d %s\r\nX-Echo: max-age=0; %s\r\n" % (status, said, said))
        writer.write(b"Retry-After: %s\r\nContent-Length: %d\r\n\r\n%s" % (said, len(body), body))
        await writer.drain()

    context = tls.self_signed().context(tls_files) if tls_files else None
    async with streams.listening(echo, context) as port:
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}"


async def look(url: str, told: list[str]) -> None:
    """One probe of every kind; what each says is added to `told`."""
    for kind, options in checks_of(url).items():
        async with watched(kind.split()[0], timeout="400ms", **options) as check:
            result = await check.tells_nothing()
            assert not result.status.is_up or result.kind, f"{kind} calls this healthy"
            told.append(f"{kind}: {result!r}")


async def test_no_failure_tells_a_secret(tmp_path: Path, debug_logs: pytest.CaptureFixture[str]) -> None:
    """Not in a result, even before redaction, and not in the logs at debug level."""
    told: list[str] = []
    for status in (200, 302, 401, 403, 429, 500):
        async with echoing(status) as url:
            await look(url, told)
    async with echoing(200, tmp_path) as url:
        await look(url, told)
    with tcp.silent() as listener:
        await look(f"http://127.0.0.1:{listener.port}", told)
    await look(f"http://127.0.0.1:{ports.free_port()}", told)
    await look(f"http://nowhere-{MARK.lower()[:4]}.invalid:80", told)
    assert len(told) == 10 * 10
    assert not [line for line in told if MARK in line]
    assert MARK not in "".join(debug_logs.readouterr())
