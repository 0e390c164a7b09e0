"""MariaDB, which speaks MySQL's protocol."""

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require
from tests.servers.tls import Certificate

_SHARE = Path("/usr/share/mysql")
_TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
_LOGINS = """
    CREATE DATABASE shop;
    FLUSH PRIVILEGES;
    CREATE USER owner@'%' IDENTIFIED BY 'own-own-own';
    GRANT ALL ON shop.* TO owner@'%';
    CREATE USER healthd@'%' IDENTIFIED BY 'hush-hush';
    CREATE TABLE shop.gate_payments (version varchar(64), state varchar(16), age time);
    CREATE TABLE shop.secrets (secret varchar(64));
    GRANT SELECT ON shop.gate_payments TO healthd@'%';
"""


@dataclass(frozen=True)
class MariaDB(Server):
    """A running server. `owner` may do anything in the database `shop`, `healthd` read the table `gate_payments`."""

    def uri(self, login: str = "healthd:hush-hush", query: str = "") -> str:
        return f"mysql://{login}@{self.host}:{self.port}/shop{query}"

    @property
    def owner(self) -> str:
        return self.uri("owner:own-own-own")


@contextmanager
def running(certificate: Certificate | None = None) -> Iterator[MariaDB]:
    """A server with an empty database."""
    with own_folder() as folder:
        user = getpass.getuser()  # it refuses to run as root unless told so
        options = ["--no-defaults", f"--datadir={folder / 'data'}", f"--lc-messages-dir={_SHARE}", f"--user={user}"]
        options += ["--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"]
        program = require("mariadbd")
        (folder / "data").mkdir()
        sql = "\n".join((_SHARE / name).read_text() for name in _TABLES)
        sql = f"CREATE DATABASE mysql;\nUSE mysql;\n{sql}\n" + _LOGINS.replace("\n    ", "\n")
        subprocess.run([program, *options, "--bootstrap"], input=sql.encode(), check=True, capture_output=True)
        if certificate is not None:
            chain, key = certificate.save(folder)
            options += [f"--ssl-cert={chain}", f"--ssl-key={key}"]

        def prepare(port: int) -> Process:
            own = [f"--port={port}", f"--bind-address={HOST}", f"--socket={folder / 'socket'}"]
            argv = [program, *options, *own, f"--pid-file={folder / 'pid'}"]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield MariaDB(port, process)
