"""HAProxy with a configuration given as text."""

import csv
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require

_HEAD = """
global
    stats socket {stats} level admin
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend test
    bind {host}:{port}
"""


@dataclass(frozen=True)
class HAProxy(Server):
    """A running load balancer."""

    stats: Path = field(kw_only=True)
    """Its administrative socket."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self, command: str) -> str:
        """What it answers to `command` on its administrative socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(self.stats))
            client.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: client.recv(65_536), b"")).decode()

    def server(self, backend: str, server: str) -> dict[str, str]:
        """The statistics of one server: `status` is UP, DOWN, "UP 1/2", DRAIN…; `check_status` L7OK, L4CON…"""
        table = csv.DictReader(io.StringIO(self.command("show stat").removeprefix("# ")))
        return next(row for row in table if (row["pxname"], row["svname"]) == (backend, server))


@contextmanager
def running(configuration: str) -> Iterator[HAProxy]:
    """A balancer on a free port; `configuration` begins with the rest of its frontend.

    For example "default_backend web\\nbackend web\\n server a 127.0.0.1:8080 check inter 100ms".
    """
    with own_folder() as folder:
        file, stats = folder / "haproxy.cfg", folder / "stats"

        def prepare(port: int) -> Process:
            head = _HEAD.format(stats=stats, host=HOST, port=port)
            file.write_text(f"{head}{configuration}\n")
            argv = [require("haproxy"), "-db", "-f", file]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield HAProxy(port, process, stats=stats)
