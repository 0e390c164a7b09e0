"""Free loopback ports for servers that must be told theirs before they bind it."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"

# Below the range that the kernel gives to outgoing connections, which would otherwise take a port
# between the moment it is chosen and the moment its server binds it.
_FIRST, _LAST = 10_000, 31_999

# Seeded by the operating system: pytest-xdist workers that share a seed would race for the same ports.
_random = random.SystemRandom()


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now; another process may still win the race for it."""
    while True:
        port = _random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


@contextmanager
def held_port() -> Iterator[int]:
    """A port that is taken meanwhile: a server told to bind it fails."""
    with socket.create_server((HOST, 0)) as holder:
        yield holder.getsockname()[1]
