"""Summary of notices that are too many to send one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from healthd.notifiers.notice import Notice, Severity
from healthd.notifiers.wording import word

_NAMED = 10  # subjects that the summary's sentence names


def summary_of(notices: Sequence[Notice]) -> Notice:
    """Return one notice that states all of these. It has the same key at every attempt with the same notices."""
    firing = [notice for notice in notices if notice.firing]
    worst = max((notice.severity for notice in firing), key=list(Severity).index, default=Severity.INFO)
    identity = hashlib.blake2b("\n".join(notice.id for notice in notices).encode(), digest_size=8).hexdigest()
    counts = [f"{len(firing)} firing"] * bool(firing) + [f"{len(notices) - len(firing)} over"] * (firing != [*notices])
    names = ", ".join(notice.name for notice in notices[:_NAMED])
    more = f" and {len(notices) - _NAMED} more" if len(notices) > _NAMED else ""
    return Notice(
        key=f"summary:{identity}",
        about="summary",
        name=f"{len(notices)} more",
        standing="firing" if firing else "over",
        firing=bool(firing),
        severity=worst,
        summary=f"{len(notices)} more at once, {', '.join(counts)}: {names}{more}",
        since=max(notice.since for notice in notices),
        detail="\n".join(f"{word(notice)}: {notice.summary}" for notice in notices),
        parts=tuple(replace(notice, before=None) for notice in notices),
        always=True,
    )


def end_of(summary: Notice, now: datetime) -> Notice:
    """Return the notice that everything in a summary is over."""
    return replace(
        summary,
        standing="over",
        firing=False,
        severity=Severity.INFO,
        summary=f"What was told together is over, or was told again by itself ({summary.name})",
        since=now,
        detail="",
        parts=(),
        always=False,
    )
