"""Redis Sentinel: real ones, which watch a Redis of the tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import redis

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require
from tests.servers.redis import Redis
from tests.servers.waiting import until_now

MASTER = "mymaster"


@dataclass(frozen=True)
class Sentinel(Server):
    """A running Sentinel."""

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    def told(self, name: str) -> object:
        """What it says of the master; None while it does not answer."""
        with suppress(redis.RedisError), redis.Redis.from_url(self.url, socket_timeout=2) as client:
            found: dict[str, object] = client.sentinel_master(MASTER)
            return found.get(name)
        return None


@contextmanager
def watching(master: Redis, *, sentinels: int = 3, quorum: int = 2, replicas: int = 1) -> Iterator[list[Sentinel]]:
    """Sentinels that know each other, and the replicas that the master has. One of them takes half a second of silence
    for a death."""
    with ExitStack() as stack:
        running = [stack.enter_context(_running(master, quorum)) for _ in range(sentinels)]
        for one in running:
            until_now(_knows(one, "num-other-sentinels", sentinels - 1), "the Sentinels know each other")
            until_now(_knows(one, "num-slaves", replicas), "the Sentinels know the replicas")
        yield running


def _knows(sentinel: Sentinel, name: str, number: int) -> Callable[[], bool]:
    return lambda: sentinel.told(name) == number


@contextmanager
def _running(master: Redis, quorum: int) -> Iterator[Sentinel]:
    with own_folder() as folder:

        def prepare(port: int) -> Process:
            file = folder / "sentinel.conf"  # which it writes to
            file.write_text(
                f"bind {HOST}\nport {port}\ndir {folder}\n"
                f"sentinel monitor {MASTER} {master.host} {master.port} {quorum}\n"
                f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
            )
            argv = [require("redis-server"), file, "--sentinel"]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Sentinel(port, process)
