"""Redis: standalone, full, loading, replica and cluster."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import redis

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require
from tests.servers.waiting import HANGS, until_now

_SLOTS = 16_384
_BASE = {
    "bind": HOST,
    "save": "",
    "daemonize": "no",
    "enable-debug-command": "local",
    "repl-diskless-sync-delay": "0",
}


@dataclass(frozen=True)
class Redis(Server):
    """A running server. `client` is for the test's own hand, not for what it tests."""

    password: str | None = field(default=None, kw_only=True)

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    def client(self) -> redis.Redis:
        """A blocking client."""
        return self._client(HANGS)

    def _client(self, patience: float) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=patience, decode_responses=True)

    def info(self, name: str) -> object:
        """One figure of INFO; None while the server does not answer."""
        with suppress(redis.RedisError), self._client(2.0) as client:
            return client.info("everything").get(name)
        return None


@contextmanager
def standalone(options: dict[str, str] | None = None, password: str | None = None) -> Iterator[Redis]:
    """A server that accepts writes, with the directives `options` on top of the defaults."""
    with _running({**(options or {}), **_login(password)}, password, _answers) as server:
        yield server


@contextmanager
def full() -> Iterator[Redis]:
    """A server that has reached `maxmemory` under `noeviction`: it answers PING and refuses writes."""
    with standalone({"maxmemory": "3mb", "maxmemory-policy": "noeviction"}) as server:
        with server.client() as client, suppress(redis.exceptions.OutOfMemoryError):
            for number in range(10_000):
                client.set(f"filler:{number}", "x" * 10_000)
        with server.client() as client:
            # Buffers of clients that come and go count as well: stay clear of the edge.
            client.config_set("maxmemory", "2500kb")
        yield server


@contextmanager
def loading() -> Iterator[Redis]:
    """A server that reads its data set back for a hundred seconds, answering -LOADING meanwhile."""
    slowly = {"key-load-delay": "10000", "loading-process-events-interval-bytes": "1024"}
    with own_folder() as folder:
        data = {"dir": str(folder), "rdbcompression": "no"}
        with standalone(data) as writer, writer.client() as client:
            client.execute_command("DEBUG", "POPULATE", "10000", "key", "1024")
            client.save()
        with _running({**data, **slowly}, None, _is_loading) as server:
            yield server


@contextmanager
def unable_to_save() -> Iterator[Redis]:
    """A server whose last background save failed, and which therefore refuses writes."""
    with own_folder() as folder, standalone({"dir": str(folder), "save": "3600 1"}) as server:
        (folder / "dump.rdb").mkdir()  # where a file is to be renamed to
        with server.client() as client:
            client.set("changed", "since the last save")
            client.bgsave()
        until_now(lambda: server.info("rdb_last_bgsave_status") == "err", "the save has failed")
        yield server


@contextmanager
def replica(of: Redis, options: dict[str, str] | None = None) -> Iterator[Redis]:
    """A read-only replica, in step with `of`."""
    source = {"replicaof": f"{of.host} {of.port}"}
    if of.password:
        source["masterauth"] = of.password
    every = {**source, **(options or {}), **_login(of.password)}
    with _running(every, of.password, _answers) as server:
        until_now(lambda: server.info("master_link_status") == "up", "the replica is in step")
        yield server


@dataclass(frozen=True)
class Cluster:
    """Three masters that share the slots and have no replicas: to kill one is to lose its slots."""

    nodes: tuple[Redis, Redis, Redis]

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def state(self, node: Redis) -> str:
        """`ok` or `fail`, as `node` sees it."""
        with node.client() as client:
            return str(client.execute_command("CLUSTER INFO")["cluster_state"])

    def lose_slots(self) -> None:
        """Kill the third node and wait until the others know it."""
        self.nodes[2].kill()
        for node in self.nodes[:2]:
            until_now(functools.partial(self._failed, node), "the cluster has failed")

    def _failed(self, node: Redis) -> bool:
        return self.state(node) == "fail"

    def _formed(self) -> bool:
        return all(self.state(node) == "ok" for node in self.nodes)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster of three, ready in about 2 s."""
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(_cluster_node()) for _ in range(3))
        nodes = (first, second, third)
        for index, node in enumerate(nodes):
            with node.client() as client:
                slots = (index * _SLOTS // 3, (index + 1) * _SLOTS // 3 - 1)
                client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        with first.client() as client:
            for node in (second, third):
                client.execute_command("CLUSTER MEET", node.host, node.port)
        formed = Cluster(nodes)
        until_now(formed._formed, "the cluster is formed")
        yield formed


@contextmanager
def _cluster_node() -> Iterator[Redis]:
    with _running({"cluster-enabled": "yes", "cluster-node-timeout": "1000"}, None, _answers) as server:
        yield server


@contextmanager
def _running(
    options: dict[str, str], password: str | None, answers_as_wanted: Callable[[Redis], bool]
) -> Iterator[Redis]:
    with own_folder() as folder:
        every = {**_BASE, "dir": str(folder), **options}
        words = [word for name, value in every.items() for word in (f"--{name}", *_values(name, value))]

        def prepare(port: int) -> Process:
            def ready(process: Process) -> bool:
                return process.listens(port) and answers_as_wanted(Redis(port, process, password=password))

            return Process([require("redis-server"), "--port", str(port), *words], ready, log=folder / "log")

        with serving(prepare) as (port, process):
            yield Redis(port, process, password=password)


def _values(name: str, value: str) -> list[str]:
    return value.split() if name == "replicaof" else [value]


def _login(password: str | None) -> dict[str, str]:
    return {"requirepass": password} if password else {}


def _answers(server: Redis) -> bool:
    return server.info("loading") == 0


def _is_loading(server: Redis) -> bool:
    return server.info("loading") == 1
