"""The port through which the status page learns of deploys: whoever judges them says what is to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Sign = Literal["healthy", "degraded", "unhealthy", "unknown", "running"]
"""Which sign and colour; the word beside it says what it means."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy that is or was judged by `policy`. `at` is when it took its present state, `address` the page about
    it."""

    name: str
    version: str
    sign: Sign
    word: str
    sentence: str
    at: datetime
    address: str
    policy: str = ""


class UnknownDeploysError(Exception):
    """The deploys cannot be told now, and why."""


class Deploys(Protocol):
    """Who knows of deploys."""

    async def latest(self) -> Sequence[Deploy]:
        """Those under way first, then the newest; few. Raises UnknownDeploysError."""
