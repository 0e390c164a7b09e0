"""Contract of every notifier: a config model and a class with `send`. The mailbox decides what is sent and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from healthd.notifiers.notice import Notice
from healthd.runtime.clock import Clock
from healthd.units import Duration

if TYPE_CHECKING:  # who only reads or checks a configuration needs no client
    import aiohttp


class NotifierConfig(BaseModel):
    """Options of every kind of notifier."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    kind: str
    """Kind of notifier; see below."""
    enabled: bool = True
    """`false` switches the notifier off."""
    optional: bool = False
    """True to skip the notifier, rather than report it as down, when a variable that it needs is unset."""
    group_wait: Duration = 2.0
    """Time to collect simultaneous notifications, once; then they are sent without further delay."""
    per_minute: int = Field(60, ge=1, le=600)
    """Maximum number of messages per minute, half of them at once; further notifications are combined."""
    timeout: Duration = 10.0
    """Timeout of the delivery of one message."""
    repeat_interval: Duration | None = Field(None, ge=60)
    """Time after which what still fires is sent again, unless it is acknowledged or silenced; never by default."""


class MisconfiguredNotifier(NotifierConfig):
    """Notifier with unset variables: it exists, it is down, and its message says why."""

    missing: tuple[str, ...]


class DeliveryError(Exception):
    """Message that was not delivered. `retry_after` (seconds) is the pause that the receiver asked for. After a `final`
    error the same message would be refused again. `perhaps_taken` says that the answer was lost."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, final: bool = False, perhaps_taken: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after, self.final, self.perhaps_taken = retry_after, final, perhaps_taken


@dataclass(frozen=True, slots=True)
class NotifierContext:
    """Objects that the daemon passes to a notifier when it creates it. `source` names this replica."""

    session: aiohttp.ClientSession
    clock: Clock
    environment: str
    source: str


class Notifier(Protocol):
    """One configured notifier.

    `send` delivers notices or raises DeliveryError; any other exception counts as one. It gets all new notices where
    `grouped`, else one at a time, which may be a summary of many. It may be called again with the same notices:
    delivery is at least once. `keeps_incidents` says that the receiver stores what is firing: each end is sent
    separately, and a summary is an incident that ends. `repeat` (seconds) asks for firing notices again.
    """

    config_model: ClassVar[type[NotifierConfig]]
    grouped: ClassVar[bool]
    keeps_incidents: ClassVar[bool]
    repeat: ClassVar[float | None]

    def __init__(self, config: Any, context: NotifierContext) -> None: ...

    async def send(self, notices: Sequence[Notice]) -> None: ...
