"""Session of SMTP (RFC 5321) as a client: commands, replies, STARTTLS (RFC 3207) and a login (RFC 4954)."""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass

from healthd.checks.connect import Endpoint, connect
from healthd.runtime.hosts import tls_name
from healthd.wording import excerpt

_LINE = re.compile(r"(?P<code>[2-5]\d\d)(?:(?P<more>[- ])(?P<text>.*))?")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?= |$)")  # RFC 3463
_MOST_BYTES = 64 * 1024  # of one reply


class NotSMTPError(Exception):
    """The server says what is no reply of SMTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of a server to one command."""

    code: int
    lines: tuple[str, ...]

    @property
    def says_yes(self) -> bool:
        return 200 <= self.code < 300

    @property
    def in_words(self) -> str:
        return excerpt(f"{self.code} {' '.join(self.lines)}")

    @property
    def code_alone(self) -> str:
        """The reply without its text, which may repeat what it was sent."""
        enhanced = _ENHANCED.match(self.lines[0])
        return f"{self.code} {enhanced[0]}" if enhanced else str(self.code)


class Session:
    """Connection to an SMTP server. `waits_for` says what the peer has not done yet, `offers` what it said to EHLO."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._heard = bytearray()
        self.waits_for = "accepts no connection"
        self.is_connected = self.has_spoken = False
        self.offers: dict[str, str] = {}

    async def open(self) -> None:
        """Connect. Raises OSError."""
        self._reader, self._writer = await asyncio.open_connection(sock=await connect(self._endpoint))
        self.is_connected = True

    async def leave(self, until: float) -> None:
        """Say goodbye, and wait for the answer until a time of the event loop at the latest."""
        with suppress(OSError, NotSMTPError):  # TimeoutError is an OSError
            async with asyncio.timeout_at(until):
                await self.command("QUIT")

    def drop(self) -> None:
        """Drop the connection at once."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def greeted(self) -> Reply:
        """Return the greeting."""
        self.waits_for = "accepts connections but does not greet"
        return await self._reply()

    async def introduce(self, name: str | None) -> Reply:
        """Send EHLO with a name, or else this client's address, and keep what the server offers."""
        reply = await self.command("EHLO", name or self._address_literal())
        words = (line.replace("=", " ", 1).split(None, 1) for line in reply.lines[1:] if line.strip())
        self.offers = {word.upper(): rest[0] if rest else "" for word, *rest in words} if reply.says_yes else {}
        return reply

    async def command(self, verb: str, rest: str = "") -> Reply:
        """Send a command and return its reply. Raises OSError and NotSMTPError."""
        self.waits_for = f"does not answer {verb}"
        return await self._send(f"{verb} {rest}".rstrip())

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
        """Shake hands. Raises OSError, and NotSMTPError for what was sent in the clear beyond the reply to STARTTLS: it
        would be taken for an answer over TLS."""
        assert self._writer is not None
        if self._heard:
            raise NotSMTPError
        self.waits_for = "completes no TLS handshake"
        await self._writer.start_tls(context, server_hostname=tls_name(server_name))
        tls: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return tls

    async def log_in(self, user: str, password: str) -> Reply | None:
        """Return the reply to a login with PLAIN or LOGIN; None if neither is offered."""
        mechanisms = self.offers.get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            reply = await self.command("AUTH", f"PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}")
        elif "LOGIN" in mechanisms:
            reply = await self.command("AUTH", "LOGIN")
            for answer in (user, password):
                if reply.code == 334:
                    reply = await self._send(_base64(answer))
        else:
            return None
        return reply

    def _address_literal(self) -> str:
        """This client's address, which stands for a name where there is none (RFC 5321, 4.1.4)."""
        assert self._writer is not None
        address = str(self._writer.get_extra_info("sockname")[0]).partition("%")[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    async def _send(self, line: str) -> Reply:
        assert self._writer is not None
        self._writer.write(f"{line}\r\n".encode())
        return await self._reply()

    async def _reply(self) -> Reply:
        lines, size = [], 0
        while True:
            line = await self._line()
            size += len(line)
            found = _LINE.fullmatch(line)
            if found is None or size > _MOST_BYTES:
                raise NotSMTPError
            lines.append(found["text"] or "")
            if found["more"] != "-":
                return Reply(int(found["code"]), tuple(lines))

    async def _line(self) -> str:
        """Return a line, without its end."""
        assert self._reader is not None
        while (end := self._heard.find(b"\n")) < 0:
            piece = await self._reader.read(4096)
            if not piece:
                raise ConnectionResetError
            self.has_spoken = True
            self._heard += piece
            if len(self._heard) > _MOST_BYTES:
                raise NotSMTPError
        line = self._heard[:end].rstrip(b"\r").decode(errors="replace")
        del self._heard[: end + 1]
        return line


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
