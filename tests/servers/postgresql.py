"""PostgreSQL: a primary, a streaming standby, and the ways in which both go wrong.

Every server has data of its own, copied from one `initdb` a test process. Logins use SCRAM, so that a wrong
password fails as it does in production.
"""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote

import asyncpg

from tests.servers.ports import HOST
from tests.servers.process import DidNotStartError, Process, Server, as_user, own_folder, serving
from tests.servers.programs import require
from tests.servers.waiting import HANGS, until

_SUPERUSER, _PASSWORD = "postgres", "superuser-secret"
_BASE = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "shared_buffers": "8MB",
    "dynamic_shared_memory_type": "mmap",
    "logging_collector": "off",
    "wal_retrieve_retry_interval": "100ms",
}
_HBA = "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class PostgreSQL(Server):
    """A running server; `stop` is a fast shutdown, `kill` a crash."""

    data: Path = field(kw_only=True)
    settings: Mapping[str, str] = field(kw_only=True)

    @property
    def dsn(self) -> str:
        """The superuser's, on the database `postgres`."""
        return self.dsn_for("postgres")

    def dsn_for(self, database: str, user: str = _SUPERUSER, password: str = _PASSWORD) -> str:
        return f"postgresql://{quote(user)}:{quote(password)}@{self.host}:{self.port}/{database}"

    async def execute(self, sql: str, database: str = "postgres") -> object:
        """Run one statement as the superuser; the first value of its first row, if it gives rows."""
        connection = await asyncpg.connect(self.dsn_for(database), timeout=HANGS)
        try:
            return await connection.fetchval(sql)
        finally:
            connection.terminate()

    @asynccontextmanager
    async def database(self, template: str = "template0") -> AsyncIterator[str]:
        """A database of the test's own, owned by an ordinary role; yields that role's DSN."""
        name, password = f"test_{uuid.uuid4().hex}", uuid.uuid4().hex
        await self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        await self.execute(f"CREATE DATABASE {name} OWNER {name} TEMPLATE {template}")
        try:
            yield self.dsn_for(name, name, password)
        finally:
            with suppress(OSError, asyncpg.PostgresError):  # the test may have left the server stopped
                await self.execute(f"DROP DATABASE {name} WITH (FORCE)")
                await self.execute(f"DROP ROLE {name}")

    @asynccontextmanager
    async def exhausted(self, dsn: str) -> AsyncIterator[int]:
        """Holds every connection that the ordinary role of `dsn` can get; yields how many that are."""
        async with AsyncExitStack() as held:
            count = 0
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    connection = await asyncpg.connect(dsn)
                    held.callback(connection.terminate)
                    count += 1
            yield count


@dataclass(frozen=True)
class Standby(PostgreSQL):
    """A hot standby of another server."""

    source: str = field(kw_only=True)
    """The connection string of its primary."""

    async def streams(self) -> bool:
        """Whether it has a WAL receiver that is connected to the primary."""
        return await self.execute("SELECT status FROM pg_stat_wal_receiver") == "streaming"

    async def cut_off(self) -> None:
        """End its WAL receiver for good, as when the primary's address or password changed."""
        await self.execute("ALTER SYSTEM SET primary_conninfo = ''")
        await self.execute("SELECT pg_reload_conf()")
        await until(self._has_no_receiver, "the WAL receiver ends")

    async def reattach(self) -> None:
        """Undo `cut_off`."""
        await self.execute(f"ALTER SYSTEM SET primary_conninfo = '{self.source}'")
        await self.execute("SELECT pg_reload_conf()")
        await until(self.streams, "the standby streams again")

    async def _has_no_receiver(self) -> bool:
        return await self.execute("SELECT count(*) FROM pg_stat_wal_receiver") == 0


@contextmanager
def primary(settings: Mapping[str, str] | None = None) -> Iterator[PostgreSQL]:
    """A server with `settings` on top of the defaults, such as `{"max_connections": "8"}`."""
    settings = settings or {}
    with own_folder() as folder:
        _give_to_account(folder)
        data = folder / "data"
        _run("cp", "-a", "--reflink=auto", _template(), data)
        with _running(data, settings) as (port, process):
            yield PostgreSQL(port, process, data=data, settings=settings)


@asynccontextmanager
async def standby(of: PostgreSQL) -> AsyncIterator[Standby]:
    """A hot standby that streams from `of`."""
    source = f"host={of.host} port={of.port} user={_SUPERUSER} password={_PASSWORD} sslmode=disable"
    options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    with own_folder() as folder:
        _give_to_account(folder)
        data = folder / "data"
        _run(require("pg_basebackup"), "--pgdata", data, "--dbname", source, *options)
        with _running(data, of.settings) as (port, process):
            server = Standby(port, process, data=data, settings=of.settings, source=source)
            await until(server.streams, "the standby streams")
            yield server


@contextmanager
def _running(data: Path, settings: Mapping[str, str]) -> Iterator[tuple[int, Process]]:
    options = [word for item in {**_BASE, **settings}.items() for word in ("-c", "=".join(item))]

    def prepare(port: int) -> Process:
        return Process(
            [require("postgres"), "-D", data, "-p", str(port), *options],
            functools.partial(_ready, data),
            log=data.parent / "log",
            user=_account(),
            stop_signal=SIGINT,
        )

    with serving(prepare) as server:
        yield server


def _ready(data: Path, process: Process) -> bool:
    # The postmaster writes its pid and state there for pg_ctl: no connection is spent on asking.
    with suppress(OSError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return lines[:1] == [str(process.pid)] and lines[-1].strip() == "ready"  # empty while it is being written
    return False


@functools.cache
def _template() -> Path:
    """A data directory to copy, made once for this test process and removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="healthd-initdb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _give_to_account(folder)
    data, secret = folder / "data", folder / "password"
    secret.write_text(_PASSWORD)
    options = [f"--username={_SUPERUSER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
    _run(require("initdb"), "--pgdata", data, "--encoding=UTF8", "--locale=C.UTF-8", *options)
    (data / "pg_hba.conf").write_text(_HBA)
    return data


def _give_to_account(folder: Path) -> None:
    account = _account()
    if account:
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)


def _account() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    return "nobody" if os.geteuid() == 0 else None


def _run(*argv: str | Path) -> None:
    account = as_user(_account())
    done = subprocess.run([*(["setpriv", *account] if account else []), *argv], capture_output=True, text=True)
    if done.returncode:
        raise DidNotStartError(f"{argv[0]} ended with {done.returncode}:\n{done.stderr}")
