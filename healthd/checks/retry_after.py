"""How long a service asks to be left alone, from the headers of its answer."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from healthd.checks.http_client import Answer

LONGEST = 3600.0  # seconds; whoever asks for more would switch the check off


def asked_pause(answer: Answer, now: datetime) -> float | None:
    """Seconds, at most `LONGEST`: Retry-After in either form (RFC 9110, 10.2.3), else the widespread
    X-RateLimit-Reset in seconds since 1970. None when neither is there or makes sense."""
    retry_after = _retry_after(answer.headers.get("Retry-After", "").strip(), now)
    seconds = retry_after if retry_after is not None else _reset(answer.headers.get("X-RateLimit-Reset", ""), now)
    return None if seconds is None else min(max(0.0, seconds), LONGEST)


def _retry_after(text: str, now: datetime) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - now).total_seconds()


def _reset(text: str, now: datetime) -> float | None:
    return float(text) - now.timestamp() if text.isascii() and text.isdigit() and len(text) < 12 else None
