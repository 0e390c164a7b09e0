"""How long a service asks a check to leave it alone, from the headers of its answer."""

from __future__ import annotations

from datetime import datetime

from healthd.checks.http_client import Answer
from healthd.http.retry_after import seconds_to_reset, seconds_to_wait

LONGEST = 3600.0  # seconds; whoever asks for more would switch the check off


def asked_pause(answer: Answer, now: datetime) -> float | None:
    """Seconds, at most `LONGEST`, by Retry-After, else by X-RateLimit-Reset. None when neither is there or makes
    sense."""
    seconds = seconds_to_wait(answer.headers, now)
    if seconds is None:
        seconds = seconds_to_reset(answer.headers, now)
    return None if seconds is None else min(seconds, LONGEST)
