"""Free loopback ports: no test gets a port that another test of the run had."""

import itertools
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"

# Below the range that the kernel gives to outgoing connections, and to whoever binds port 0: one of them would take a
# port between the moment it is chosen and the moment its server binds it, and a client of another test that still asks
# a server which has ended would be counted by the server that gets its port.
_FIRST, _LAST = 10_000, 31_999


def _ports_of(worker: int, workers: int) -> list[int]:
    """The ports of one pytest-xdist worker, in an order of its own: another run beside this one has the same ports."""
    ports = list(range(_FIRST + worker, _LAST + 1, workers))
    random.SystemRandom().shuffle(ports)
    return ports


_ports = itertools.cycle(
    _ports_of(
        int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
        int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
    )
)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now, and that this worker gives to nobody else before it gave
    all of its ports; a process outside of the run may still win the race for it."""
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


@contextmanager
def held_port() -> Iterator[int]:
    """A port that is taken meanwhile: a server told to bind it fails."""
    with socket.create_server((HOST, free_port())) as holder:
        yield holder.getsockname()[1]
