"""How long a server asks to be left alone: every client of ours reads it so."""

from datetime import UTC, datetime

import pytest

from healthd.http.retry_after import seconds_to_reset, seconds_to_wait

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Thu, 26 Nov 2026 12:02:00 GMT", 120.0),
        ("Thu, 26 Nov 2026 13:02:00 +0100", 120.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("9" * 400, 999_999_999.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u00b2", None),
        ("\u0663\u0660", None),
        ("Thu, 26 Nov 99999999999 12:00:00 GMT", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    """Seconds or an HTTP date; digits that are none in ASCII, years that no clock knows and the like are not there."""
    assert seconds_to_wait({"Retry-After": header}, NOW) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(str(int(NOW.timestamp()) + 60), 60.0), ("5", 0.0), ("", None), ("\u00b2", None), ("9" * 12, None)],
)
def test_rate_limit_reset(header: str, seconds: float | None) -> None:
    """Seconds since 1970."""
    assert seconds_to_reset({"X-RateLimit-Reset": header}, NOW) == seconds
