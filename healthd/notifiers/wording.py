"""Notices in words, for chat and mail."""

from __future__ import annotations

from collections.abc import Sequence

from healthd.notifiers.notice import Notice, Severity, urgency

_WORDS = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "WARNING", Severity.INFO: "INFO"}
_NAMED = 5  # subjects in a headline, after the worst
_TIME = "%Y-%m-%d %H:%M:%S UTC"


def headline(notices: Sequence[Notice], environment: str) -> str:
    """Return one line for all of them, with the worst in full."""
    worst, *others = sorted(notices, key=urgency)
    line = f"[{environment}] {word(worst)}: {worst.summary}"
    if not others:
        return line
    named = ", ".join(notice.name for notice in others[:_NAMED])
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    firing = sum(notice.firing for notice in others)
    counts = [f"{firing} firing"] * bool(firing) + [f"{len(others) - firing} over"] * (firing < len(others))
    return f"{line}; also {', '.join(counts)}: {named}{more}"


def word(notice: Notice) -> str:
    """Return the severity, and that it was told before. What is only told no more has not recovered."""
    if not notice.firing:
        return "INFO" if notice.about == "check" and notice.standing != "healthy" else "OK"
    return _WORDS[notice.severity] + (" (reminder)" if notice.reminds_of is not None else "")


def paragraph(notice: Notice) -> str:
    """Return what happened, the reason, since when, and the links."""
    facts = ", ".join(f"{key} {value}" for key, value in notice.told_facts.items())
    lines = [
        f"{word(notice)}: {notice.summary}",
        notice.detail,
        f"since {notice.since.strftime(_TIME)}" + (f" ({facts})" if facts else ""),
        *dict.fromkeys(address for address in (notice.link, notice.page) if address),
    ]
    return "\n".join(line for line in lines if line)
