"""Pause that a service asks for in the headers of its answer, before the next probe."""

from __future__ import annotations

from datetime import datetime

from healthd.checks.http_client import Answer
from healthd.http.retry_after import seconds_to_reset, seconds_to_wait

LONGEST = 3600.0  # seconds; a service that asks for more would switch the check off


def asked_pause(answer: Answer, now: datetime) -> float | None:
    """Return the seconds to wait, at most `LONGEST`, by Retry-After, else by X-RateLimit-Reset. None when neither is
    present or valid."""
    seconds = seconds_to_wait(answer.headers, now)
    if seconds is None:
        seconds = seconds_to_reset(answer.headers, now)
    return None if seconds is None else min(seconds, LONGEST)
