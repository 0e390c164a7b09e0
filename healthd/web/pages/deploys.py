"""Port through which the status page reads deploys: the package that judges them provides the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Sign = Literal["healthy", "degraded", "unhealthy", "unknown", "running"]
"""Icon and colour of a deploy; the word beside it gives the meaning."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy that is or was judged by `policy`. `at` is the time of its present state, `address` the page about
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
    """The deploys cannot be read now; the message says why."""


class Deploys(Protocol):
    """Source of deploys."""

    async def latest(self) -> Sequence[Deploy]:
        """Return those in progress first, then the newest; few. Raises UnknownDeploysError."""
