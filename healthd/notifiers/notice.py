"""Notice of a notification, and its severity. Values; the receivers and the delivery are defined elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from healthd.model import require_aware

_ABOUT = ("rollback", "gate", "summary", "check")  # the most pressing first


class Severity(StrEnum):
    """Severity: `CRITICAL` calls the person on call, `WARNING` can wait for working hours, `INFO` is for those
    interested."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    def reaches(self, other: Severity) -> bool:
        order = list(Severity)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Notice:
    """Current state of one subject.

    `key` is the subject; a newer notice of the same key replaces an older one. It is news when `standing`, `firing` or
    `severity` differ from the last notification. `since` is the time of the change to this state, `began` when its
    cause began. `always` also sends an end without a beginning, such as a deploy that passed. `lasts` (seconds) ends a
    firing notice by itself; one that `is_followed` is never repeated: what comes of it is told by another. `labels` are
    those of the check or service. `link` leads to the runbook or the deploy, `page` to healthd's own page about it.
    `parts` are the notices that a summary combines; `before` is the last notification to the same receiver about the
    subject; `reminds_of` is its time where this one only repeats it, because it still fires. No text in it holds a
    secret.
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
    labels: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    page: str | None = None
    always: bool = False
    lasts: float | None = None
    is_followed: bool = False
    parts: tuple[Notice, ...] = ()
    before: Notice | None = None
    reminds_of: datetime | None = None

    def __post_init__(self) -> None:
        require_aware(self.since)

    @property
    def id(self) -> str:
        """Identifier of a notification: the same at every attempt and from every replica that saw the same event. A
        reminder has one of its own, or whoever recognises repetitions by it would drop it."""
        again = f"/after/{self.reminds_of.isoformat()}" if self.reminds_of is not None else ""
        return f"{self.key}/{self.standing}/{self.since.isoformat()}{again}"

    @property
    def told_facts(self) -> dict[str, str]:
        """Facts for people, with the labels."""
        return {**self.labels, **self.facts}

    @property
    def is_urgent(self) -> bool:
        return self.firing and self.severity is Severity.CRITICAL

    def differs_from(self, other: Notice) -> bool:
        return (self.standing, self.firing, self.severity) != (other.standing, other.firing, other.severity)


def urgency(notice: Notice) -> tuple[bool, int, int, datetime]:
    """Return a key to sort by: firing before over, the worst first, a deploy before a check."""
    severity, about = list(Severity).index(notice.severity), _ABOUT.index(notice.about)
    return not notice.firing, -severity, about, notice.since
