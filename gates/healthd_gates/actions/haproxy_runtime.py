"""HAProxy's Runtime API: the servers of a backend as one HAProxy has them, and their weights.

Commands and their answers: docs.haproxy.org/2.8/management.html, 9.3 "set server", "show servers state",
"show stat", "show cli level", "show info".
"""

from __future__ import annotations

import asyncio
import csv
import errno
import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import EAI_AGAIN, gaierror

from healthd.checks.connect import Endpoint, connect
from healthd.checks.failures import explain_late
from healthd.nearest import did_you_mean, there_are
from healthd.runtime.lookups import noting

_LONGEST_ANSWER = 4 * 2**20  # bytes, of some 36,000 servers
_PART = 65_536
_ANSWERS_WITHIN = 5.0  # seconds; HAProxy answers within milliseconds
_SERVERS = 4  # of `show stat`: the servers alone
_SHOWN = 60  # characters of an answer that is none
_LEVELS = ("admin", "operator", "user")
_NO_BACKEND = "Can't find backend"
_TABLES = ("1\n", "# ")  # how what has lines begins, which an empty one ends; every other answer ends with its line
_BEGINS = (f"{_TABLES[0]}# be_id", _NO_BACKEND)  # what `show servers state` answers
_OWN = ("Permission denied", "Unknown command", "[")  # what HAProxy itself answers that it does not do
_UP = ("2", "3")  # srv_op_state: running, or about to stop
_NOT_THERE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTSOCK,
    errno.ENAMETOOLONG,
    errno.EPROTOTYPE,
)
_ADMIN_OFF = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20  # srv_admin_state: maintenance or drain, by whoever


class Unanswered(Exception):  # noqa: N818 - a reason, for people
    """A HAProxy did not answer; the same a moment later may succeed."""


class NoSocket(Unanswered):
    """Nothing can listen there: there is no such file, it is no socket, this user may not open it, or its host has no
    address."""


class _CutOff(Unanswered):
    """An answer without its end, as of a HAProxy that ends meanwhile."""

    def __init__(self, socket: str, said: str) -> None:
        super().__init__(f"{socket}: its answer was cut off after {len(said)} characters")
        self.said = said

    @property
    def is_of_haproxy(self) -> bool:
        """True if it begins as HAProxy answers `show servers state`, as far as it goes."""
        return any(self.said.startswith(own[: len(self.said)]) for own in (*_BEGINS, *_OWN))


class Refused(Exception):  # noqa: N818 - a reason, for people
    """A HAProxy refused, and always will, until a person mends something."""


class NotRuntime(Refused):
    """The listener does not speak the Runtime API."""

    def __init__(self, socket: str, said: str) -> None:
        first = said.strip().partition("\n")[0].strip()[:_SHOWN]
        super().__init__(
            f"{socket}: it does not speak HAProxy's Runtime API, for it answers {first!r}: name what HAProxy's "
            "`stats socket` has, such as /run/haproxy/admin.sock"
        )


class NoBackend(Refused):
    """A HAProxy has no backend of this name."""


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
    try:
        said = await _told(socket, f"show servers state {backend}")
    except _CutOff as cut:
        if cut.is_of_haproxy:
            raise
        raise NotRuntime(socket, cut.said) from None
    lines = said.splitlines()
    if len(lines) < 2 or not lines[1].startswith("# "):
        if not said:
            raise Unanswered(f"{socket}: no answer")
        if said.startswith(_NO_BACKEND):
            known = (await _told(socket, "show backend")).splitlines()[1:]
            alike = did_you_mean(backend, known) or f" {there_are(known).capitalize()}."
            raise NoBackend(f"{socket}: HAProxy has no backend {backend}.{alike}")
        if not said.startswith(_OWN):
            raise NotRuntime(socket, said)
        raise Refused(f"{socket}: {' '.join(said.split())}")
    head = lines[1].removeprefix("# ").split()
    try:
        rows = [dict(zip(head, line.split(), strict=True)) for line in lines[2:] if line.strip()]
        return {row["srv_name"]: Server.of(row) for row in rows}
    except (KeyError, ValueError):
        raise NotRuntime(socket, said) from None


async def level(socket: str) -> str:
    """Return the level of a socket: `admin` may set weights, `operator` and `user` may not; empty where it does not
    tell. Raises Unanswered."""
    said = await _told(socket, "show cli level")
    return said if said in _LEVELS else ""


async def process_id(socket: str) -> int | None:
    """Return the id of the process, as it sees it itself; None where it does not tell. Raises Unanswered."""
    return await _number(socket, "Pid")


async def uptime(socket: str) -> int | None:
    """Return for how many seconds the process runs, that of the last reload; None where it does not tell. Raises
    Unanswered."""
    return await _number(socket, "Uptime_sec")


async def _number(socket: str, name: str) -> int | None:
    told = dict(line.partition(": ")[::2] for line in (await _told(socket, "show info")).splitlines())
    return int(number) if (number := told.get(name, "").strip()).isdigit() else None


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of `show stat` on a server: whether it is a `backup`, which gets traffic only where no other one is up,
    whether it has an `agent-check`, and its `cookie`."""

    is_reserve: bool
    has_agent: bool
    cookie: str


async def facts(socket: str, backend: str) -> Mapping[str, Facts]:
    """Return the facts of the servers of a backend. Raises Unanswered or Refused."""
    told = await _told(socket, f"show stat {backend} {_SERVERS} -1")
    table = csv.DictReader(io.StringIO(told.removeprefix("# ")))
    try:
        return {row["svname"]: Facts(row["bck"] == "1", row["agent_status"] != "", row["cookie"]) for row in table}
    except (KeyError, csv.Error):
        raise NotRuntime(socket, told) from None


async def set_weight(socket: str, backend: str, server: str, weight: int) -> None:
    """Give a server its weight. Raises Unanswered or Refused."""
    if said := await _told(socket, f"set server {backend}/{server} weight {weight}"):
        raise Refused(f"{socket}: {said}")


async def _told(socket: str, command: str) -> str:
    """Return the answer to one command. Raises Unanswered, also for one that is cut off."""
    with noting():
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                said = await _answer(socket, command)
        except OSError as error:
            late = isinstance(error, TimeoutError) and not error.strerror
            _, no_answer = explain_late(f"no answer within {_ANSWERS_WITHIN:g} s")
            why = no_answer if late else error.strerror or str(error)
            raise (NoSocket if _is_misplaced(socket, error) else Unanswered)(f"{socket}: {why}") from None
        except UnicodeError:
            raise NoSocket(f"{socket}: its host is no name") from None
    if not said:
        raise Unanswered(f"{socket}: no answer")
    if not said.endswith("\n\n" if said.startswith(_TABLES) else "\n"):
        raise _CutOff(socket, said)
    return said.strip()


def _is_misplaced(socket: str, error: OSError) -> bool:
    """Return whether a socket could not be asked wherever HAProxy is: a file that is none refuses as one of a HAProxy
    that has ended."""
    if not socket.startswith("/"):
        return isinstance(error, gaierror) and error.errno != EAI_AGAIN
    return error.errno in _NOT_THERE or (error.errno == errno.ECONNREFUSED and not Path(socket).is_socket())


def beside(socket: str) -> Iterator[str]:
    """Yield the sockets in the folder of one."""
    with suppress(OSError):
        yield from (str(file) for file in Path(socket).parent.iterdir() if file.is_socket())


async def _answer(socket: str, command: str) -> str:
    if socket.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(socket)
    else:
        host, _, port = socket.rpartition(":")
        connection = await connect(Endpoint(host.strip("[]"), int(port)))
        reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(f"{command}\n".encode())
        await writer.drain()
        answer = bytearray()
        while len(answer) < _LONGEST_ANSWER and (part := await reader.read(_PART)):
            answer += part
        return answer.decode(errors="replace")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
