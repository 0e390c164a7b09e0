"""Which server programs the tests use, where they are, and what happens when one is absent.

How an absent one is installed is in `install.py`.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Program:
    """A program that tests start: its command and the Debian package that carries it."""

    command: str
    package: str
    folders: tuple[str, ...] = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")


PROGRAMS = {
    program.command: program
    for program in (
        Program("postgres", "postgresql", ("/usr/lib/postgresql/*/bin",)),
        Program("initdb", "postgresql", ("/usr/lib/postgresql/*/bin",)),
        Program("pg_basebackup", "postgresql", ("/usr/lib/postgresql/*/bin",)),
        Program("redis-server", "redis-server"),
        Program("prometheus", "prometheus"),
        Program("promtool", "prometheus"),
        Program("prometheus-alertmanager", "prometheus-alertmanager"),
        Program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter"),
        Program("haproxy", "haproxy"),
        Program("nginx", "nginx-light"),
        Program("ip", "iproute2"),
        Program("faketime", "faketime"),
        Program("wrk", "wrk"),
    )
}


def find(command: str) -> Path | None:
    """Where `command` is: beside this Python, on the path, or where its package puts it."""
    program = PROGRAMS.get(command, Program(command, command))
    beside = Path(sys.prefix, "bin", command)
    if beside.exists():
        return beside
    on_path = shutil.which(command)
    if on_path:
        return Path(on_path)
    for folder in program.folders:
        found = sorted(Path("/").glob(f"{folder.lstrip('/')}/{command}"))
        if found:
            return found[-1]
    return None


def require(command: str) -> Path:
    """The path of `command`; without it the calling test is skipped, or fails where CI=true."""
    found = find(command)
    if found:
        return found
    program = PROGRAMS.get(command, Program(command, command))
    return _do_without(f"{command} is not installed: apt-get install {program.package}")


def require_root(why: str) -> None:
    """Skip the calling test, or fail it where CI=true, unless it runs as root."""
    if os.geteuid() != 0:
        _do_without(f"needs root {why}")


def _do_without(reason: str) -> Path:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
