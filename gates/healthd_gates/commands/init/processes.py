"""Finders among the processes of this host: what listens, and what PM2 runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from healthd.checks.pm2_list import listed

_NO_SERVICES = (
    *(
        "nginx",
        "haproxy",
        "caddy",
        "traefik",
        "apache2",
        "httpd",
        "envoy",
        "sshd",
        "systemd-resolve",
        "dnsmasq",
        "cupsd",
    ),
    *("mongod", "mongos", "postgres", "redis-server", "valkey-server", "mysqld", "mariadbd", "memcached", "beam.smp"),
    *("prometheus", "node_exporter", "grafana", "alertmanager", "healthd", "dockerd", "containerd", "master", "exim4"),
)
_WELL_KNOWN = frozenset({3306, 5432, 6379, 9090, 9093, 9100, 11211, 27017})
_PM2_WITHIN = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Listening:
    """A port of this host, and the process that it belongs to; None if that may not be known."""

    port: int
    process: str | None

    @property
    def may_be_a_service(self) -> bool:
        """True for the process of an application; a database is not to be sent HTTP."""
        return (
            self.process is not None
            and self.process not in _NO_SERVICES
            and self.port >= 1024
            and self.port not in _WELL_KNOWN
        )


@dataclass(frozen=True, slots=True)
class Pm2App:
    """A process that PM2 keeps running, and the port that its environment names."""

    name: str
    port: int


def listening() -> list[Listening]:
    """Return the ports that TCP connections are accepted at. Raises OSError if the system does not say."""
    try:
        found = psutil.net_connections(kind="tcp")
    except psutil.Error as error:
        raise PermissionError(str(error)) from None
    names: dict[int, str | None] = {}
    for each in found:
        if each.status == psutil.CONN_LISTEN and each.laddr and names.get(each.laddr.port) is None:
            names[each.laddr.port] = None if each.pid is None else _name(each.pid)
    return [Listening(port, names[port]) for port in sorted(names)]


def _name(pid: int) -> str | None:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return None


def pm2_apps(environ: Mapping[str, str], run: Callable[[Sequence[str]], str] | None = None) -> list[Pm2App]:
    """Return what PM2 runs. Asks only a PM2 that is there already: the question itself would start one."""
    home = Path(environ.get("PM2_HOME") or Path(environ.get("HOME", "/")) / ".pm2")
    try:
        (home / "pm2.pid").stat()
        return parsed_pm2((run or _run)(("pm2", "jlist", "--silent")))
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _run(argv: Sequence[str]) -> str:
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=_PM2_WITHIN, check=True, env=os.environ, stdin=subprocess.DEVNULL
    ).stdout


def parsed_pm2(text: str) -> list[Pm2App]:
    """Parse the output of `pm2 jlist`, before which PM2 may print other lines. Raises ValueError."""
    apps = dict[tuple[str, int], Pm2App]()
    for each in listed(text):
        own: dict[str, Any] = each.get("pm2_env") or {}
        inner: dict[str, Any] = own.get("env") or {}
        port = str(own.get("PORT") or inner.get("PORT") or "")
        if own.get("status") == "online" and port.isdigit() and 0 < int(port) < 65536:
            app = Pm2App(str(each.get("name", "")), int(port))
            apps[app.name, app.port] = app
    return list(apps.values())
