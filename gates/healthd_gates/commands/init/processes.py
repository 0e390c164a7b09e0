"""Finder among the ports of this host: what listens."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

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
