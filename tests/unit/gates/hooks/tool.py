"""A deploy tool that hangs up and wants to be called back, and follows a script when it is."""

import asyncio
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Literal

from healthd_gates.config.hooks.contract import HookConfig
from healthd_gates.domain.callback import FinalWord, PendingCallback
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.hooks.callback import Delivery, Receipt

TAKEN = Delivery(Receipt.TAKEN, "taken")
LOST = Delivery(Receipt.RETRY, "connection refused", heard=False)
UNSURE = Delivery(Receipt.RETRY, "connection reset")
REFUSED = Delivery(Receipt.REFUSED, "no such run")


class ToolConfig(HookConfig):
    kind: Literal["tool"]
    wait_timeout: float = 400.0
    retry_for: float = 7200.0


class ToolDialect:
    config_model: ClassVar[type[HookConfig]] = ToolConfig


class Tool:
    """Takes everything unless told otherwise. `told` are the words of all tries, `reports` what it was told of."""

    act: ClassVar[Callable[[FinalWord], Any]] = lambda _word: TAKEN
    excuses: ClassVar[Callable[[], Any]] = lambda: None
    reporting: ClassVar[Callable[[], Any]] = lambda: asyncio.sleep(0)
    told: ClassVar[list[tuple[str, str]]] = []
    reports: ClassVar[list[str]] = []

    def __init__(self, wait_timeout: float, retry_for: float) -> None:
        self.wait_timeout, self.retry_for = wait_timeout, retry_for

    async def target_groups(self, address: Mapping[str, Any]) -> Collection[str]:
        return ()

    async def excuse(self, address: Mapping[str, Any]) -> str | None:
        said = Tool.excuses()
        excuse: str | None = await said if inspect.isawaitable(said) else said
        return excuse

    async def tell(self, address: Mapping[str, Any], word: FinalWord, text: str) -> Delivery:
        Tool.told.append((word.value, text))
        said = Tool.act(word)
        delivery: Delivery = await said if inspect.isawaitable(said) else said
        return delivery

    async def report(self, address: Mapping[str, Any], text: str) -> None:
        Tool.reports.append(text)
        await Tool.reporting()

    async def close(self) -> None: ...


def owed(key: str = "run-1", *, service: str = "api", version: str = "2.0", **changes: Any) -> PendingCallback:
    request = VerifyRequest(service=service, candidate=Version(version=version), rollback="off", **changes)
    return PendingCallback(key, "tool", {"to": key}, request)


def words() -> list[str]:
    return [word for word, _ in Tool.told]
