"""Windows in which nothing is deployed: `{cron: "0 17 * * FRI", for: 62h}` or `{from: …, to: …}`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from pydantic import Field

from healthd.config.model import Name
from healthd.config.window import Labelled, Times, has_labels


class Freeze(Times):
    """Window in which no gate starts. An empty `services` means all services."""

    services: tuple[Name, ...] = ()
    """The services that are frozen; all of them unless given."""
    labels: Labelled = Field(default_factory=dict)
    """Labels that a service must have to be frozen, each with one of these values; `*` matches any text."""

    def freezes(self, service: str, labels: Mapping[str, str]) -> bool:
        return (not self.services or service in self.services) and has_labels(labels, self.labels)


class FreezesServices(Protocol):
    """A window that freezes services: of the configuration, or added while the daemon runs."""

    @property
    def reason(self) -> str: ...

    def freezes(self, service: str, labels: Mapping[str, str]) -> bool: ...

    def until(self, moment: datetime) -> datetime | None: ...


def frozen(
    windows: Iterable[FreezesServices], service: str, moment: datetime, labels: Mapping[str, str] | None = None
) -> tuple[datetime, str] | None:
    """Return until when, and why, the service is frozen at this moment: by the window that ends last."""
    covering = [
        (until, window.reason)
        for window in windows
        if window.freezes(service, labels or {}) and (until := window.until(moment)) is not None
    ]
    return max(covering, default=None)
