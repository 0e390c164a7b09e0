"""Windows that cover checks now, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthd.config.window import CheckWindow, WindowKind
from healthd.labels import Labels

IGNORING: tuple[WindowKind, ...] = ("maintenance", "pause")
"""Kinds of window in which failures do not count."""
_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cover:
    """Window that covers a check now. `author` and `id` are those of a window that was added while the daemon ran;
    `is_until_healthy` says that it ends with the failure."""

    kind: WindowKind
    reason: str
    until: datetime
    author: str | None = None
    id: str | None = None
    is_until_healthy: bool = False

    @property
    def sentence(self) -> str:
        by = f" by {self.author}" if self.author else ""
        until = "it is healthy" if self.is_until_healthy else f"{self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"{_WORDS[self.kind]}{by} until {until}: {self.reason}"


_WORDS: Mapping[WindowKind, str] = {
    "maintenance": "In maintenance",
    "silence": "Silenced",
    "pause": "Paused",
    "acknowledgement": "Acknowledged",
    "freeze": "Frozen",
}


class Watched:
    """Window with its current state, which is computed once for as long as it holds: a cron line is slow to ask."""

    def __init__(self, window: CheckWindow) -> None:
        self.window = window
        self._cover: Cover | None = None
        self._asked, self._holds_until = _FOREVER, _FOREVER

    def takes(self, check: str, labels: Labels, groups: Any) -> bool:
        return self.window.takes(check, labels, groups)

    def cover(self, moment: datetime) -> Cover | None:
        """Return what covers a moment; None if the window does not."""
        if not self._asked <= moment < self._holds_until:
            until = self.window.until(moment)
            self._asked = moment
            self._holds_until = until or self.window.next_start(moment) or _FOREVER
            self._cover = self._of(until) if until is not None else None
        return self._cover

    def _of(self, until: datetime) -> Cover:
        window = self.window
        return Cover(
            window.window_kind,
            window.reason,
            until,
            getattr(window, "author", None),
            getattr(window, "id", None),
            getattr(window, "is_until_healthy", False),
        )
