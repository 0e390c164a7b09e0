"""MongoDB's protocol: a server that speaks it, as a primary, standing alone, and with logins.

No Python or Debian package carries `mongod`, so this is SecantusDB's. A real one named by HEALTHD_TEST_MONGODB_URI
takes its place in every test that only needs a URI. Members in other states are in `mongodb_peer.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require

Client = pymongo.MongoClient[dict[str, Any]]

USER, PASSWORD = "watcher", "mongodb-secret"


@dataclass(frozen=True)
class MongoDB(Server):
    """A running server. `set_name` is its replica set's; None when it stands alone."""

    set_name: str | None = None
    authenticates: bool = False

    @property
    def uri(self) -> str:
        """With the login, where there is one, and the set's name."""
        return self.uri_with(USER, PASSWORD) if self.authenticates else self._uri("")

    def uri_with(self, user: str, password: str) -> str:
        return self._uri(f"{user}:{password}@")

    def _uri(self, login: str) -> str:
        query = f"replicaSet={self.set_name}" if self.set_name else "directConnection=true"
        return f"mongodb://{login}{self.host}:{self.port}/?{query}"

    def client(self) -> Client:
        """A blocking client for the test's own hand."""
        return connect(self.uri)

    @contextmanager
    def failing(self, command: str, code: int) -> Iterator[None]:
        """Every `command` fails with MongoDB's error `code` meanwhile; needs `test_commands`."""
        point = {"configureFailPoint": "failCommand", "data": {"failCommands": [command], "errorCode": code}}
        with self.client() as client:
            client.admin.command({**point, "mode": "alwaysOn"})
            try:
                yield
            finally:
                client.admin.command({**point, "mode": "off"})


def connect(uri: str, patience: float = 2.0) -> Client:
    """A blocking client that waits `patience` seconds for a server."""
    return pymongo.MongoClient(uri, serverSelectionTimeoutMS=int(patience * 1000))


def given_uri() -> str | None:
    """The real server to test against, when the environment names one."""
    return os.environ.get("HEALTHD_TEST_MONGODB_URI") or None


@contextmanager
def primary(*, authenticates: bool = False, test_commands: bool = False) -> Iterator[MongoDB]:
    """The primary of a replica set of one."""
    with _running(_flags(authenticates, test_commands), "secantus", authenticates) as server:
        yield server


@contextmanager
def standalone(*, authenticates: bool = False, test_commands: bool = False) -> Iterator[MongoDB]:
    """A server that belongs to no replica set."""
    with _running([*_flags(authenticates, test_commands), "--standalone"], None, authenticates) as server:
        yield server


def _flags(authenticates: bool, test_commands: bool) -> list[str]:
    wanted = {"--auth": authenticates, "--enable-test-commands": test_commands}
    return [flag for flag, on in wanted.items() if on]


@contextmanager
def _running(flags: list[str], set_name: str | None, authenticates: bool) -> Iterator[MongoDB]:
    with own_folder() as folder:
        if authenticates:
            _create_user(folder)
        with _serving(folder, flags) as (port, process):
            yield MongoDB(port, process, set_name=set_name, authenticates=authenticates)


def _create_user(folder: Path) -> None:
    # A server that demands logins from its start has nobody who could create the first one.
    with _serving(folder, ["--standalone"]) as (port, process), MongoDB(port, process).client() as client:
        client.admin.command("createUser", USER, pwd=PASSWORD, roles=["root"])
        client.close()
        process.stop()


@contextmanager
def _serving(folder: Path, flags: list[str]) -> Iterator[tuple[int, Process]]:
    def prepare(port: int) -> Process:
        argv = [require("secantusd-py"), "--host", HOST, "--port", str(port)]
        argv += ["--storage-path", folder / "data", "--cache-size", "64M", *flags]
        return Process(argv, lambda process: process.listens(port) and _answers(port), log=folder / "log")

    with serving(prepare) as server:
        yield server


def _answers(port: int) -> bool:
    with suppress(PyMongoError):
        address = f"mongodb://{HOST}:{port}/?directConnection=true"
        with connect(address, patience=1) as client:
            return bool(client.admin.command("hello")["ok"])
    return False
