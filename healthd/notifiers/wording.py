"""Notices in words, for chat and mail."""

from __future__ import annotations

from collections.abc import Sequence

from healthd.notifiers.notice import Notice, Severity

_WORDS = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "WARNING", Severity.INFO: "INFO"}
_TIME = "%Y-%m-%d %H:%M:%S UTC"


def headline(notices: Sequence[Notice], environment: str) -> str:
    """One line for all of them."""
    if len(notices) == 1:
        return f"[{environment}] {word(notices[0])}: {notices[0].summary}"
    firing = sum(notice.firing for notice in notices)
    counts = [f"{firing} firing"] * bool(firing) + [f"{len(notices) - firing} over"] * (firing < len(notices))
    return f"[{environment}] {', '.join(counts)}: {', '.join(notice.name for notice in notices[:5])}"


def word(notice: Notice) -> str:
    return _WORDS[notice.severity] if notice.firing else "OK"


def paragraph(notice: Notice) -> str:
    """What happened, why, since when, and where to look."""
    facts = ", ".join(f"{key} {value}" for key, value in notice.facts.items())
    lines = [
        f"{word(notice)}: {notice.summary}",
        notice.detail,
        f"since {notice.since.strftime(_TIME)}" + (f" ({facts})" if facts else ""),
        notice.link or "",
    ]
    return "\n".join(line for line in lines if line)
