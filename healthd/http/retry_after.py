"""Pause that a server asks for in the headers of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DIGITS = 9  # more digits than these mean for ever


def seconds_to_wait(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds to wait, not negative: Retry-After in either form (RFC 9110, 10.2.3). None when it is missing
    or invalid. Any length is returned: the limit is the caller's."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_DIGITS])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - (now or datetime.now(UTC))).total_seconds())


def seconds_to_reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds, not negative, until the widespread X-RateLimit-Reset, which is in seconds since 1970. None
    when it is missing or invalid."""
    text = headers.get("X-RateLimit-Reset", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        return None
    return max(0.0, float(text) - now.timestamp())
