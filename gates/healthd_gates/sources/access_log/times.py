"""The time of a line, in the notations of access logs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_CLF = re.compile(r"(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(\.\d+)?(?: ([+-])(\d\d)(\d\d))?", re.ASCII)
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_EPOCH = re.compile(r"\d{9,11}(?:\.\d*)?", re.ASCII)


@lru_cache(maxsize=4096)  # the lines of one second have the same text
def epoch(text: str) -> float | None:
    """Return seconds since 1970: of `26/Nov/2026:13:00:00 +0100` (without a zone it is local time), of ISO 8601, and of
    the seconds themselves. None for anything else."""
    try:
        if (found := _CLF.fullmatch(text)) is not None:
            day, month, year, hour, minute, second, fraction, sign, *zone = found.groups()
            offset = None
            if sign is not None:
                east = timedelta(hours=int(zone[0]), minutes=int(zone[1]))
                offset = timezone(east if sign == "+" else -east)
            clock = int(hour), int(minute), int(second)
            at = datetime(int(year), _MONTHS[month], int(day), *clock, tzinfo=offset)
            return at.timestamp() + float(fraction or 0)
        if _EPOCH.fullmatch(text) is not None:
            return float(text)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, KeyError, OverflowError):
        return None
