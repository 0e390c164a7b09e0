"""What every notifier is: a config model and a class with `send`. When and what it sends is the mailbox's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import aiohttp
from pydantic import BaseModel, ConfigDict, Field

from healthd.notifiers.notice import Notice
from healthd.runtime.clock import Clock
from healthd.units import Duration


class NotifierConfig(BaseModel):
    """What every kind of notifier can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    kind: str
    """How it tells; see below."""
    enabled: bool = True
    """`false` leaves it out."""
    optional: bool = False
    """Leaves it out, rather than calling it down, when a variable that it needs is unset."""
    group_wait: Duration = 2.0
    """How long to gather what happens at the same time, once; then it is told without further delay."""
    per_minute: int = Field(60, ge=1, le=600)
    """Messages that it sends in a minute at most, half of them at once; what comes faster is put together."""
    timeout: Duration = 10.0
    """How long one message may take to be delivered."""


class MisconfiguredNotifier(NotifierConfig):
    """A notifier with unset variables: it is there, it is down, and it says why."""

    missing: tuple[str, ...]


class DeliveryError(Exception):
    """A message was not delivered. `retry_after` (seconds) is what the receiver asked for. After a `final` one the
    same message would be refused again."""

    def __init__(self, message: str, *, retry_after: float | None = None, final: bool = False) -> None:
        super().__init__(message)
        self.retry_after, self.final = retry_after, final


@dataclass(frozen=True, slots=True)
class NotifierContext:
    """What the daemon hands to a notifier at birth. `source` names this replica."""

    session: aiohttp.ClientSession
    clock: Clock
    environment: str
    source: str


class Notifier(Protocol):
    """One configured notifier.

    `send` delivers notices or raises DeliveryError; whatever else it raises counts as one. It is given all that is
    news where `grouped`, else one at a time, which may be a summary of many. It may be called again with the same
    notices: at least once is what is promised. `keeps_incidents` says that the receiver knows what is firing: each end
    is told by itself, and a summary is an incident that ends. `repeat` (seconds) asks for firing notices again.
    """

    config_model: ClassVar[type[NotifierConfig]]
    grouped: ClassVar[bool]
    keeps_incidents: ClassVar[bool]
    repeat: ClassVar[float | None]

    def __init__(self, config: Any, context: NotifierContext) -> None: ...

    async def send(self, notices: Sequence[Notice]) -> None: ...
