"""What people are told: a Notice, and how bad it is. Values; who is told, and how, is not said here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from healthd.model import require_aware


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
    (seconds) ends a firing notice by itself. No text in it holds a secret.
    """

    key: str
    about: Literal["check", "gate", "rollback"]
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

    def __post_init__(self) -> None:
        require_aware(self.since)

    def differs_from(self, other: Notice) -> bool:
        return (self.standing, self.firing, self.severity) != (other.standing, other.firing, other.severity)
