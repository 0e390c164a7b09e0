"""An HTTP proxy in the event loop of the test, strict about what it is asked and the only one that knows its names.

Facts of RFC 9110 and 9112 that it keeps: CONNECT has host and port, and never a path (9112, 3.2.3; 9110, 9.3.6); any
other request names its whole address (9112, 3.2.2), of http alone here; each has a Host (9112, 3.2) that names the same
(9110, 7.2); without an accepted Proxy-Authorization the answer is 407 with Proxy-Authenticate (9110, 11.7 and 15.5.8);
that header and those of the connection go no further (9110, 7.6.1 and 11.7.2), and Via is added (9110, 7.6.3). A target
that it does not reach is answered 502 (9110, 15.6.3). The answer to a CONNECT has no body (9110, 9.3.6).
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from yarl import URL

from tests.servers.ports import HOST
from tests.servers.streams import listening


@dataclass
class Proxy:
    """What it was asked, and what it does. `names` gives each host that it knows the port on this one."""

    names: Mapping[str, int]
    login: str | None = None
    """User and password, with a colon between."""
    refuses: int | None = None
    """The status of all its answers, instead of letting anyone through."""
    is_silent: bool = False
    speaks: bytes = b""
    """What it answers instead of HTTP."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and target of each request that was well formed."""
    malformed: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            if self.speaks:
                writer.write(self.speaks)
                await writer.drain()
                return
            if self.is_silent:
                await reader.read()
                return
            status, place = self._judge(first, headers)
            if status != 200:
                challenge = 'Proxy-Authenticate: Basic realm="proxy"\r\n' if status == 407 else ""
                writer.write(f"HTTP/1.1 {status} X\r\n{challenge}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            await self._lead(first, lines, self.names[place], reader, writer)

    def _judge(self, first: str, headers: Mapping[str, str]) -> tuple[int, str]:
        method, target, version = (*first.split(" "), "", "")[:3]
        authority = target
        if method != "CONNECT":
            url = URL(target)
            authority = target.removeprefix("http://").partition("/")[0]
            if url.scheme != "http" or not url.host or not url.path:
                self.malformed.append(first)
                return 400, ""
        host, _, port = authority.partition(":")
        same = (authority, authority.removesuffix(":443"))  # aiohttp leaves https's own port out of the Host alone
        wrong = version != "HTTP/1.1" or "/" in authority or "@" in authority or headers.get("host") not in same
        if wrong or (method == "CONNECT" and not port.isdigit()):
            self.malformed.append(first)
            return 400, ""
        self.asked.append((method, target))
        if self.login is not None:
            expected = f"Basic {base64.b64encode(self.login.encode()).decode()}"
            if headers.get("proxy-authorization") != expected:
                return 407, ""
        if self.refuses is not None:
            return self.refuses, ""
        return (200 if host in self.names else 502), host

    async def _lead(
        self, first: str, lines: list[str], port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there_reader, there_writer = await asyncio.open_connection(HOST, port)
        try:
            if first.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                method, target, _ = first.split(" ")
                kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
                path = URL(target).raw_path_qs
                head = "\r\n".join((f"{method} {path} HTTP/1.1", *kept, "Via: 1.1 proxy", "Connection: close", "", ""))
                there_writer.write(head.encode("latin-1"))
            await asyncio.wait(
                [asyncio.create_task(_pass(reader, there_writer)), asyncio.create_task(_pass(there_reader, writer))]
            )
        finally:
            there_writer.close()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
        sink.close()


@asynccontextmanager
async def running(names: Mapping[str, int], login: str | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy(names, login)
    async with listening(proxy.serve) as proxy.port:
        yield proxy
