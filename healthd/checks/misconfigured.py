"""What a check becomes when a variable that it needs is unset: always there, never green, and it names the variable."""

from __future__ import annotations

from typing import ClassVar

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.model import FailureKind, Result


class MisconfiguredConfig(CheckConfig):
    missing: tuple[str, ...]


class Misconfigured:
    """Fails every probe with the names of what is missing."""

    config_model: ClassVar[type[CheckConfig]] = MisconfiguredConfig

    def __init__(self, config: MisconfiguredConfig, context: CheckContext) -> None:
        self._message = f"not set: {', '.join(config.missing)}"

    async def probe(self) -> Result:
        return Result.unhealthy(FailureKind.MISCONFIGURED, self._message)

    async def close(self) -> None:
        """Holds nothing open."""
