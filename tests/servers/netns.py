"""A host of its own behind a network cable: a network namespace, whose packets can be made to vanish.

Needs root. The namespace lives as long as a process in it does, which dies with the tests; so nothing is left to
clean up.
"""

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import DidNotStartError, Process, Server, own_folder
from tests.servers.programs import absent, require, require_root

_random = random.SystemRandom()


@dataclass(frozen=True)
class Host:
    """Reachable from the tests at `address`, and seeing them come from `gateway`."""

    address: str
    gateway: str
    anchor: Process
    """The process that keeps the namespace."""

    def vanish(self) -> None:
        """Its answers are dropped without a word: a connection hangs, whether new or open."""
        self._ip("route", "add", "blackhole", f"{self.gateway}/32")

    def come_back(self) -> None:
        """Undo `vanish`."""
        self._ip("route", "del", "blackhole", f"{self.gateway}/32")

    def inside(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs `argv` on this host."""
        return ["nsenter", f"--net=/proc/{self.anchor.pid}/ns/net", *argv]

    @contextmanager
    def web(self, port: int = 8080) -> Iterator[Server]:
        """An HTTP server on this host that answers 200 to `GET /`."""
        with own_folder() as folder:
            argv = [sys.executable, "-u", "-m", "http.server", str(port), "--bind", self.address]
            process = Process(
                self.inside(argv), lambda process: process.said("Serving HTTP"), log=folder / "log", cwd=folder
            )
            process.start()
            try:
                yield Server(port, process, host=self.address)
            finally:
                process.kill()

    def _ip(self, *words: str) -> None:
        _run(*self.inside([require("ip"), *words]))


@contextmanager
def host() -> Iterator[Host]:
    """A host on a link of its own, from the addresses set aside for tests of networks (RFC 2544)."""
    require_root("to make a network namespace")
    net = f"198.{_random.choice((18, 19))}.{_random.randrange(256)}"
    last = 4 * _random.randrange(64)
    gateway, address = f"{net}.{last + 1}", f"{net}.{last + 2}"
    with own_folder() as folder:
        argv = ["unshare", "--net", "sleep", "infinity"]
        anchor = Process(argv, _has_own_network, log=folder / "log")
        try:
            _start(anchor)
            created = Host(address, gateway, anchor)
            _connect(created)
            yield created
        finally:
            anchor.kill()


def _start(anchor: Process) -> None:
    try:
        anchor.start()
    except DidNotStartError as error:
        absent(f"no network namespace can be made here: {error}")


def _connect(created: Host) -> None:
    ip, pid = require("ip"), str(created.anchor.pid)
    ours, theirs = f"hd{pid}", "eth0"
    try:
        _run(ip, "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", pid)
    except subprocess.CalledProcessError as error:
        absent(f"the kernel makes no veth: {error.stderr.strip()}")
    _run(ip, "address", "add", f"{created.gateway}/30", "dev", ours)
    _run(ip, "link", "set", ours, "up")
    created._ip("address", "add", f"{created.address}/30", "dev", theirs)
    created._ip("link", "set", theirs, "up")


def _has_own_network(anchor: Process) -> bool:
    try:
        return Path(f"/proc/{anchor.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:
        return False


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)
