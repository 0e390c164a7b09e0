"""A member of a MongoDB deployment in whatever state a test wants: secondary, arbiter, recovering, silent.

Answers the wire protocol's messages with documents given by the test; stores nothing. A server that does is in
`mongodb.py`.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import bson

from tests.servers.ports import HOST
from tests.servers.streams import listening

Document = Mapping[str, Any]
Reply = Document | Callable[[Document], Document] | None

_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_NOT_FOUND = {"ok": 0.0, "errmsg": "no such command", "code": 59, "codeName": "CommandNotFound"}


class MongoPeer:
    """Answers each command with the document set for it; an unknown one with CommandNotFound."""

    def __init__(self, answers: Mapping[str, Document]) -> None:
        self.host = HOST
        self.port = 0
        self.commands: list[str] = []
        """The names of the commands it was sent, in lower case."""
        self._answers: dict[str, Reply] = {"ping": {"ok": 1.0}, "endsessions": {"ok": 1.0}}
        for command, document in answers.items():
            self.answer(command, document)

    @property
    def uri(self) -> str:
        return f"mongodb://{self.host}:{self.port}/?directConnection=true"

    def answer(self, command: str, document: Reply) -> None:
        """From now on; None is to stay silent, and a function is called with the command. The answer to `hello` is also
        that to its old name."""
        names = ("hello", "ismaster") if command == "hello" else (command.lower(),)
        self._answers.update((name, document) for name in names)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, request, _, operation = _HEADER.unpack(await reader.readexactly(_HEADER.size))
            body = await reader.readexactly(length - _HEADER.size)
            answer = self._reply(_command(operation, body))
            if answer is not None:
                writer.write(_message(operation, request, answer))
                await writer.drain()

    def _reply(self, command: Document) -> Document | None:
        name = next(iter(command)).lower()
        self.commands.append(name)
        answer = self._answers.get(name, _NOT_FOUND)
        return answer(command) if callable(answer) else answer


@asynccontextmanager
async def peer(answers: Mapping[str, Document]) -> AsyncIterator[MongoPeer]:
    """A peer on a free port, such as `peer({"hello": secondary()})`."""
    started = MongoPeer(answers)
    async with listening(started.serve) as started.port:
        yield started


def hello(**fields: object) -> dict[str, Any]:
    """What a stand-alone server says of itself, with `fields` on top."""
    return {
        "isWritablePrimary": True,
        "maxBsonObjectSize": 16_777_216,
        "maxMessageSizeBytes": 48_000_000,
        "maxWriteBatchSize": 100_000,
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "readOnly": False,
        "ok": 1.0,
        **fields,
    }


def primary(set_name: str = "rs0") -> dict[str, Any]:
    return hello(setName=set_name, setVersion=1, hosts=["db0:27017", "db1:27017"], secondary=False)


def secondary(set_name: str = "rs0") -> dict[str, Any]:
    return primary(set_name) | {"isWritablePrimary": False, "secondary": True, "primary": "db0:27017"}


def recovering(set_name: str = "rs0") -> dict[str, Any]:
    """A member that is neither primary nor secondary, as while it starts up or syncs."""
    return primary(set_name) | {"isWritablePrimary": False, "secondary": False}


def _command(operation: int, body: bytes) -> Document:
    if operation == _OP_MSG:
        # Flags, then one section of kind 0; the commands of a health check have no other.
        return bson.decode(body[5 : 5 + _length(body, 5)])
    if operation == _OP_QUERY:
        # The greeting of every driver: flags, the collection's name, skip and limit, the command.
        start = body.index(b"\0", 4) + 1 + 8
        return bson.decode(body[start : start + _length(body, start)])
    raise ValueError(f"unexpected MongoDB operation {operation}")


def _length(body: bytes, start: int) -> int:
    return int(struct.unpack_from("<i", body, start)[0])


def _message(operation: int, request: int, answer: Document) -> bytes:
    document = bson.encode(answer)
    if operation == _OP_MSG:
        kind, payload = _OP_MSG, struct.pack("<iB", 0, 0) + document
    else:
        kind, payload = _OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1) + document
    return _HEADER.pack(_HEADER.size + len(payload), 0, request, kind) + payload
