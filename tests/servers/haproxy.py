"""HAProxy with a configuration given as text, which can be reloaded: a master with one worker, as systemd and the
image run it."""

import csv
import io
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, SIGUSR2

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require
from tests.servers.waiting import until_now

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
        return _told(self.stats, command)

    def reload(self) -> None:
        """Have another worker read the file anew, as `systemctl reload haproxy` does; return once it answers. A worker
        answers before its master is up, and that loses the signal: systemd waits for the master, too."""
        until_now(self._has_a_master, self.log)
        before = _worker(self.stats)

        def is_reloaded() -> bool:
            assert self.process.running, self.log()
            return _worker(self.stats) not in (before, None)

        self.process.send(SIGUSR2)
        until_now(is_reloaded, self.log)

    def _has_a_master(self) -> bool:
        with suppress(OSError):
            return "worker" in _told(self.stats.with_name("master"), "show proc")
        return False

    def server(self, backend: str, server: str) -> dict[str, str]:
        """The statistics of one server: `status` is UP, DOWN, "UP 1/2", DRAIN…; `check_status` L7OK, L4CON…"""
        table = csv.DictReader(io.StringIO(self.command("show stat").removeprefix("# ")))
        found = next(row for row in table if (row["pxname"], row["svname"]) == (backend, server))
        # While the next check runs, a star stands before the result of the last.
        return {**found, "check_status": (found["check_status"] or "").removeprefix("* ")}


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
            argv = [require("haproxy"), "-W", "-db", "-S", folder / "master", "-f", file]
            return Process(
                argv,
                lambda process: _worker(stats) is not None,
                log=folder / "log",
                orphan_signal=SIGTERM,  # its worker would outlive a killed master
            )

        with serving(prepare) as (port, process):
            yield HAProxy(port, process, stats=stats)


def _worker(stats: Path) -> str | None:
    """The process that answers on a socket, None where none does."""
    with suppress(OSError):
        return found[1] if (found := re.search(r"^Pid: (\d+)$", _told(stats, "show info"), re.MULTILINE)) else None
    return None


def _told(stats: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(stats))
        client.sendall(f"{command}\n".encode())
        client.shutdown(socket.SHUT_WR)  # a master would wait for the next command
        return b"".join(iter(lambda: client.recv(65_536), b"")).decode()
