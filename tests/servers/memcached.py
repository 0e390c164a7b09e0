"""memcached, for the documentation's example of a check that is not healthd's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require


@contextmanager
def running(connections: int = 64) -> Iterator[Server]:
    """A server that allows that many connections at once."""
    with own_folder() as folder:

        def prepare(port: int) -> Process:
            argv = [require("memcached"), "-l", HOST, "-p", port, "-c", connections, "-m", 8, "-t", 1, "-u", "nobody"]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Server(port, process)
