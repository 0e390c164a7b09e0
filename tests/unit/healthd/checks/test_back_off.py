"""How long a service asks to be left alone."""

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from healthd.checks.http_client import Answer
from healthd.checks.retry_after import LONGEST, asked_pause

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Sun, 22 Nov 2026 12:01:30 GMT"}, 90),
        ({"Retry-After": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "Sun, 22 Nov 2026 12:01:30 -0000"}, 90),
        ({"Retry-After": "9" * 40}, LONGEST),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "１２"}, None),
        ({}, None),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 40)}, 40),
        ({"X-RateLimit-Reset": "never"}, None),
        ({"Retry-After": "7", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 40)}, 7),
    ],
)
def test_asked_pause(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, a date, or SendGrid's time of reset; never for longer than an hour; nonsense is ignored."""
    answer = Answer(429, CIMultiDictProxy(CIMultiDict(headers)), b"", True, 0.01, None)
    assert asked_pause(answer, NOW) == seconds
