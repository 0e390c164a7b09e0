"""A name server on UDP and TCP that holds what it is told, fails as it is told, or says nothing.

It lives in the event loop of the test.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.servers.ports import HOST
from tests.servers.streams import listening

_LARGEST_DATAGRAM = 512  # bytes that a client without EDNS takes


class NameServer:
    """Answers for the names it was given; NXDOMAIN for all others."""

    def __init__(self, port: int) -> None:
        self.host = HOST
        self.port = port
        self.asked: list[str] = []
        """`name TYPE` of every question, in order."""
        self.silent = False
        self._records: dict[tuple[str, str], dns.rrset.RRset] = {}
        self._rcodes: dict[str, dns.rcode.Rcode] = {}

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def hold(self, name: str, record: str, *values: str, ttl: int = 300) -> None:
        """From now on `name` has exactly these records of that type."""
        self._records[name, record] = dns.rrset.from_text(f"{name}.", ttl, "IN", record, *values)

    def fail(self, name: str, rcode: dns.rcode.Rcode) -> None:
        """From now on every question for `name` fails with `rcode`."""
        self._rcodes[name] = rcode

    def answer(self, wire: bytes, largest: int) -> bytes | None:
        """The response to a query, cut short when it is larger than `largest` bytes; None when silent."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, record = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name} {record}")
        if self.silent:
            return None
        response = dns.message.make_response(query)
        if found := self._records.get((name, record)):
            response.answer.append(found)
        elif alias := self._records.get((name, "CNAME")):
            response.answer.append(alias)
            if not any(held == alias[0].target.to_text(omit_final_dot=True).lower() for held, _ in self._records):
                response.set_rcode(dns.rcode.NXDOMAIN)
        elif not any(held == name for held, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if name in self._rcodes:
            response.set_rcode(self._rcodes[name])
        if len(response.to_wire()) > largest:
            response.answer.clear()
            response.flags |= dns.flags.TC
        return response.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if response := self._server.answer(data, _LARGEST_DATAGRAM):
            self._transport.sendto(response, addr)


@asynccontextmanager
async def serving() -> AsyncIterator[NameServer]:
    """A name server that holds nothing yet."""
    server = NameServer(0)

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        if response := server.answer(await reader.readexactly(length), 65_535):
            writer.write(struct.pack("!H", len(response)) + response)
            await writer.drain()
        await reader.read()

    async with listening(stream) as server.port:
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=(HOST, server.port))
        try:
            yield server
        finally:
            datagrams.close()
