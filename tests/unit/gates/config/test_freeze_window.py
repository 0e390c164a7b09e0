"""Freeze windows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.config.freeze_window import Freeze, frozen

WEEKEND = Freeze.model_validate({"cron": "0 17 * * FRI", "for": "62h", "reason": "weekend"})
FRIDAY = datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"cron": "0 17 * * FRI"}, "either cron and for"),
        ({"from": "2026-12-01T00:00:00Z"}, "either cron and for"),
        ({"cron": "0 17 * * FRI", "to": "2026-12-01T00:00:00Z"}, "either cron and for"),
        ({"cron": "0 17 * *", "for": "2h"}, "not a cron line"),
        ({"cron": "0 17 * * 5", "for": "2h"}, "day of the week by name"),
        ({"cron": "0 17 * * FRI", "for": "62"}, "duration"),
        ({"cron": "0 17 * * FRI", "for": "400d"}, "a year"),
        ({"cron": "0 17 * * FRI", "for": "2h", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"from": "2026-12-02T00:00:00Z", "to": "2026-12-01T00:00:00Z"}, "later than from"),
        ({"from": "2026-12-02T00:00:00", "to": "2026-12-03T00:00:00Z"}, "timezone"),
    ],
)
def test_what_is_wrong_is_refused_and_named(raw: dict[str, Any], message: str) -> None:
    """Every rule has an example that breaks it."""
    with pytest.raises(ValidationError, match=message):
        Freeze.model_validate({"reason": "x", **raw})


def test_a_recurring_window_covers_from_its_start_up_to_its_end() -> None:
    """The start belongs to it, the end does not."""
    end = FRIDAY + timedelta(hours=62)
    assert WEEKEND.until(FRIDAY - timedelta(seconds=1)) is None
    assert WEEKEND.until(FRIDAY) == end
    assert WEEKEND.until(end - timedelta(seconds=1)) == end
    assert WEEKEND.until(end) is None


def test_windows_that_overlap_themselves_last_until_the_last_one_ends() -> None:
    """Every day at noon for 36 hours is always."""
    always = Freeze.model_validate({"cron": "0 12 * * *", "for": "36h", "reason": "x"})
    assert always.until(FRIDAY) == FRIDAY.replace(hour=12) + timedelta(hours=36)


def test_a_window_keeps_its_hour_when_the_clocks_change() -> None:
    """17:00 in Berlin is 15:00 UTC in summer and 16:00 in winter."""
    daily = Freeze.model_validate({"cron": "0 17 * * *", "for": "1h", "timezone": "Europe/Berlin", "reason": "x"})
    assert daily.until(datetime(2026, 7, 1, 15, 30, tzinfo=UTC)) == datetime(2026, 7, 1, 16, tzinfo=UTC)
    assert daily.until(datetime(2026, 12, 1, 15, 30, tzinfo=UTC)) is None
    assert daily.until(datetime(2026, 12, 1, 16, 30, tzinfo=UTC)) == datetime(2026, 12, 1, 17, tzinfo=UTC)


def test_of_several_windows_the_one_that_ends_last_is_named() -> None:
    """Whoever is refused is told when it is worth asking again."""
    audit = Freeze.model_validate({"from": FRIDAY, "to": FRIDAY + timedelta(days=9), "reason": "audit"})
    other = Freeze.model_validate(
        {"from": FRIDAY, "to": FRIDAY + timedelta(days=99), "reason": "x", "services": ["web"]}
    )
    assert frozen((WEEKEND, audit, other), "api", FRIDAY) == (audit.end, "audit")
    assert frozen((WEEKEND,), "api", FRIDAY - timedelta(days=1)) is None
