"""Name lookups that never return, on the daemon's own event loop."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from healthd.model import FailureKind, Status
from healthd.runtime import loop
from tests.integration.healthd.checks.probing import watched

AWS_KEYS = {"access_key_id": "AKIAHUNG", "secret_access_key": "hush-hush-hush"}


@pytest.fixture
def hung_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every name lookup hangs until the test ends; addresses need none."""
    released, look_up = threading.Event(), socket.getaddrinfo

    def hang(*where: Any, **options: Any) -> Any:
        if "hung.example" in where and not options.get("flags", 0) & socket.AI_NUMERICHOST:
            released.wait(30)
        return look_up(*where, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield
    released.set()


@pytest.mark.usefixtures("hung_resolver")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("http", {"url": "https://hung.example/"}),
        ("stripe", {"key": "sk_test_1", "base_url": "https://hung.example"}),
        ("tcp", {"host": "hung.example", "port": 80}),
        ("tls", {"host": "hung.example"}),
        ("aws", {"region": "eu-west-1", "endpoint_url": "https://hung.example"} | AWS_KEYS),
    ],
)
def test_hung_lookups_take_one_thread(kind: str, options: dict[str, Any]) -> None:
    """Probe after probe times out within its deadline, and one thread is all that they leave behind."""

    async def probe() -> None:
        async with watched(kind, timeout="300ms", **options) as check:
            for _ in range(5):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
                assert len([thread for thread in threading.enumerate() if thread.name == "lookup"]) <= 1

    loop.run(probe())
