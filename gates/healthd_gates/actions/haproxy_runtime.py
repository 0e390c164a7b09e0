"""HAProxy's Runtime API: the servers of a backend as one HAProxy has them, and their weights.

Commands and their answers: docs.haproxy.org/2.8/management.html, 9.3 "set server", "show servers state",
"show stat", "show cli level", "show info".
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

_LONGEST_ANSWER = 65_536
_ANSWERS_WITHIN = 5.0  # seconds; HAProxy answers within milliseconds
_SERVERS = 4  # of `show stat`: the servers alone
_UP = ("2", "3")  # srv_op_state: running, or about to stop
_ADMIN_OFF = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20  # srv_admin_state: maintenance or drain, by whoever


class Unanswered(Exception):  # noqa: N818 - a reason, for people
    """A HAProxy did not answer; the same a moment later may succeed."""


class Refused(Exception):  # noqa: N818 - a reason, for people
    """A HAProxy refused, and always will, until a person mends something."""


@dataclass(frozen=True, slots=True)
class Server:
    """Server of a backend: its weight, whether a person admits it, and whether it takes traffic."""

    weight: int
    is_admitted: bool
    is_able: bool

    @classmethod
    def of(cls, row: Mapping[str, str]) -> Server:
        """Return the server of a line of `show servers state`."""
        admitted = not int(row["srv_admin_state"]) & _ADMIN_OFF
        return cls(int(row["srv_uweight"]), admitted, row["srv_op_state"] in _UP and admitted)


async def servers(socket: str, backend: str) -> Mapping[str, Server]:
    """Return the servers of a backend. Raises Unanswered or Refused."""
    said = await _told(socket, f"show servers state {backend}")
    lines = said.splitlines()
    if len(lines) < 2 or not lines[1].startswith("# "):
        if not said:
            raise Unanswered(f"{socket}: no answer")
        raise Refused(f"{socket}: {' '.join(said.split())}")
    head = lines[1].removeprefix("# ").split()
    rows = [dict(zip(head, line.split(), strict=False)) for line in lines[2:] if line.strip()]
    return {row["srv_name"]: Server.of(row) for row in rows}


async def level(socket: str) -> str:
    """Return the level of a socket: `admin` may set weights, `operator` and `user` may not. Raises Unanswered."""
    return await _told(socket, "show cli level")


async def process_id(socket: str) -> int | None:
    """Return the id of the process, as it sees it itself; None where it does not tell. Raises Unanswered."""
    told = dict(line.partition(": ")[::2] for line in (await _told(socket, "show info")).splitlines())
    return int(pid) if (pid := told.get("Pid", "").strip()).isdigit() else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What `show stat` tells of a server: whether it is a `backup`, which gets traffic only where no other one is up,
    whether it has an `agent-check`, and its `cookie`."""

    is_reserve: bool
    has_agent: bool
    cookie: str


async def facts(socket: str, backend: str) -> Mapping[str, Facts]:
    """Return the facts of the servers of a backend. Raises Unanswered."""
    told = await _told(socket, f"show stat {backend} {_SERVERS} -1")
    table = csv.DictReader(io.StringIO(told.removeprefix("# ")))
    return {row["svname"]: Facts(row["bck"] == "1", row["agent_status"] != "", row["cookie"]) for row in table}


async def set_weight(socket: str, backend: str, server: str, weight: int) -> None:
    """Give a server its weight. Raises Unanswered or Refused."""
    if said := await _told(socket, f"set server {backend}/{server} weight {weight}"):
        raise Refused(f"{socket}: {said}")


async def _told(socket: str, command: str) -> str:
    """Return the answer to one command. Raises Unanswered."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            return await _answer(socket, command)
    except OSError as error:
        late = isinstance(error, TimeoutError) and not error.strerror
        why = f"no answer within {_ANSWERS_WITHIN:g} s" if late else error.strerror or str(error)
        raise Unanswered(f"{socket}: {why}") from None


async def _answer(socket: str, command: str) -> str:
    if socket.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(socket)
    else:
        host, _, port = socket.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(f"{command}\n".encode())
        await writer.drain()
        answer = b""
        while len(answer) < _LONGEST_ANSWER and (part := await reader.read(_LONGEST_ANSWER)):
            answer += part
        return answer.decode(errors="replace").strip()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
