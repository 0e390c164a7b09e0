"""What people are told: a Notice, and how bad it is. Values; who is told, and how, is not said here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from healthd.model import require_aware

_ABOUT = ("rollback", "gate", "summary", "check")  # the most pressing first


class Severity(StrEnum):
    """`CRITICAL` calls somebody, `WARNING` is for the daytime, `INFO` for whoever is interested."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    def reaches(self, other: Severity) -> bool:
        order = list(Severity)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Notice:
    """How one subject stands now.

    `key` is the subject; a newer notice of the same key takes the place of an older one. It is news when `standing`,
    `firing` or `severity` differ from what was told before. `since` is when it came to stand so, `began` when
    what led to it began. `always` tells also of an end that had no beginning, such as a deploy that passed. `lasts`
    (seconds) ends a firing notice by itself. `parts` are the notices that a summary puts together; `before` is what the
    same receiver was told last of the subject. No text in it holds a secret.
    """

    key: str
    about: Literal["check", "gate", "rollback", "summary"]
    name: str
    standing: str
    firing: bool
    severity: Severity
    summary: str
    since: datetime
    detail: str = ""
    began: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    always: bool = False
    lasts: float | None = None
    parts: tuple[Notice, ...] = ()
    before: Notice | None = None

    def __post_init__(self) -> None:
        require_aware(self.since)

    @property
    def id(self) -> str:
        """The name of what is told: the same at every try and from every replica that saw the same."""
        return f"{self.key}/{self.standing}/{self.since.isoformat()}"

    @property
    def is_urgent(self) -> bool:
        return self.firing and self.severity is Severity.CRITICAL

    def differs_from(self, other: Notice) -> bool:
        return (self.standing, self.firing, self.severity) != (other.standing, other.firing, other.severity)


def urgency(notice: Notice) -> tuple[bool, int, int, datetime]:
    """A key to sort by: what fires before what is over, the worst first, a deploy before a check."""
    severity, about = list(Severity).index(notice.severity), _ABOUT.index(notice.about)
    return not notice.firing, -severity, about, notice.since
