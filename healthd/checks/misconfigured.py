"""Replacement of a check that cannot be built: always present, never healthy, with a message that says why."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.model import FailureKind, Result


class MisconfiguredConfig(CheckConfig):
    missing: tuple[str, ...]


class Misconfigured:
    """Fails every probe with the names of the variables that are unset."""

    config_model: ClassVar[type[CheckConfig]] = MisconfiguredConfig

    def __init__(self, config: MisconfiguredConfig, context: CheckContext) -> None:
        self._message = f"not set: {', '.join(config.missing)}"

    async def probe(self) -> Result:
        return Result.unhealthy(FailureKind.MISCONFIGURED, self._message)

    async def close(self) -> None:
        """Do nothing: no resource is open."""


class UnloadedCheck:
    """Fails every probe for as long as the driver of its kind is not loaded.

    `since` (steady seconds) is when it began to wait. `begun` is set once the driver is being loaded, `built` once the
    check that takes this one's place is there.
    """

    config_model: ClassVar[type[CheckConfig]] = CheckConfig

    def __init__(self, config: CheckConfig, context: CheckContext) -> None:
        self.config, self.context, self.since = config, context, context.clock.steady()
        self.begun, self.built = False, asyncio.Event()

    async def probe(self) -> Result:
        text = (
            f"the driver of kind {self.config.kind!r} is still not loaded: the file system may hang, "
            "for it or for another package, whose search locks every import of Python"
        )
        return Result.unhealthy(FailureKind.INTERNAL, text)

    async def close(self) -> None:
        """Do nothing: no resource is open."""


class BrokenCheck:
    """Fails every probe with the exception that the kind raised when the check was built."""

    config_model: ClassVar[type[CheckConfig]] = CheckConfig

    def __init__(self, message: str, *_: Any) -> None:
        self.message = message

    async def probe(self) -> Result:
        return Result.unhealthy(FailureKind.MISCONFIGURED, self.message)

    async def close(self) -> None:
        """Do nothing: no resource is open."""
