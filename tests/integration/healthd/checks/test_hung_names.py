"""Name lookups that never return, on the daemon's own event loop."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from healthd.model import FailureKind, Status
from healthd.runtime import loop
from tests.integration.healthd.checks.probing import Watched, watched
from tests.servers import tcp

AWS_KEYS = {"access_key_id": "AKIAHUNG", "secret_access_key": "hush-hush-hush"}
AWS_HUNG = {"region": "eu-west-1", "endpoint_url": "https://hung.example"} | AWS_KEYS
MONGODB, POSTGRESQL = "mongodb://hung.example/shop?replicaSet=rs", "postgresql://app:hush-hush@hung.example/app"
KUBECONFIG = """
current-context: hung
clusters: [{name: hung, cluster: {server: "https://hung.example"}}]
users: [{name: hung, user: {token: hush-hush-hush}}]
contexts: [{name: hung, context: {cluster: hung, user: hung}}]
"""


async def looks_in_vain(check: Watched) -> None:
    """A probe whose time is over before the name is resolved. The first ones may spend it on loading a driver."""
    while (result := await check.tells_nothing()).kind is FailureKind.TIMEOUT:
        pass
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.DNS)
    assert result.message.startswith("the name hung.example was not resolved within ")


@pytest.mark.usefixtures("hung_resolver")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("http", {"url": "https://hung.example/"}),
        ("stripe", {"key": "sk_test_1", "base_url": "https://hung.example"}),
        ("tcp", {"host": "hung.example", "port": 80}),
        ("tls", {"host": "hung.example"}),
        ("aws", AWS_HUNG),
    ],
)
def test_hung_lookups_take_one_thread(kind: str, options: dict[str, Any]) -> None:
    """Probe after probe ends within its deadline, and one thread is all that they leave behind."""
    before = set(threading.enumerate())

    async def probe() -> None:
        async with watched(kind, timeout="1s", **options) as check:
            for _ in range(5):
                await looks_in_vain(check)
                assert sum(thread.name == "lookup" for thread in {*threading.enumerate()} - before) <= 1

    loop.run(probe())


@pytest.mark.usefixtures("hung_resolver")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bullmq", {"uri": "redis://hung.example", "queue": "mails"}),
        ("domain", {"domain": "shop.example", "server": "https://hung.example/"}),
        ("ecs", {"cluster": "shop", "service": "api"} | AWS_HUNG),
        ("grpc", {"host": "hung.example", "port": 443}),
        ("headers", {"url": "https://hung.example/"}),
        ("kubernetes", {"deployment": "api", "namespace": "shop"}),
        ("migrations", {"postgresql": {"uri": POSTGRESQL, "table": "history"}}),
        ("migrations", {"mongodb": {"uri": MONGODB, "collection": "history"}}),
        ("mongodb", {"uri": MONGODB}),
        ("mongodb", {"uri": MONGODB, "driver": "motor"}),
        ("mongodb_query", {"uri": MONGODB, "collection": "a.b", "filter": {}, "unhealthy": {"above": 1}}),
        ("postgresql", {"uri": POSTGRESQL}),
        ("rabbitmq", {"url": "https://app:hush-hush@hung.example"}),
        ("rds", {"instance": "shop"} | AWS_HUNG),
        ("redis", {"uri": "redis://hung.example"}),
        ("redis_sentinel", {"sentinels": ["redis://hung.example:26379"], "master": "mymaster"}),
        ("s3", {"bucket": "shop"} | AWS_HUNG),
        ("sendgrid", {"key": "SG.hush-hush-hush", "base_url": "https://hung.example"}),
        ("smtp", {"host": "hung.example"}),
        ("sql", {"uri": "mysql://app:hush-hush@hung.example/app", "query": "SELECT 1", "unhealthy": {"above": 1}}),
        ("sqs", {"queue": "mails"} | AWS_HUNG),
        ("websocket", {"url": "wss://hung.example/live"}),
    ],
)
def test_a_lookup_that_hangs_is_dns(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Whatever driver a check has: a peer that nobody has called is not said to be silent."""
    if kind == "kubernetes":
        (tmp_path / "kubeconfig").write_text(KUBECONFIG)
        options = options | {"kubeconfig": str(tmp_path / "kubeconfig")}

    async def probe() -> None:
        async with watched(kind, timeout="1s", **options) as check:
            await looks_in_vain(check)

    loop.run(probe())


@pytest.mark.usefixtures("hung_resolver")
async def test_a_lookup_that_hangs_is_dns_in_an_application() -> None:
    """On an event loop that is not the daemon's, for checks that connect without a driver."""
    async with watched("tcp", host="hung.example", port=80, timeout="1s") as check:
        await looks_in_vain(check)


def test_a_peer_that_is_silent_is_no_matter_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the name is resolved."""
    look_up = socket.getaddrinfo

    def resolve(host: str, *where: Any, **options: Any) -> Any:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return look_up(host, *where, **options)
        return look_up("127.0.0.1" if host == "silent.example" else host, *where, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def probe() -> None:
        with tcp.unconnectable() as listener:
            async with watched("tcp", host="silent.example", port=listener.port, timeout="2s") as check:
                assert "no connection to silent.example" in (await check.gives_up()).message

    loop.run(probe())
