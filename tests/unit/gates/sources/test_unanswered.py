"""Requests without an answer, by the minute."""

import pytest

from healthd_gates.sources.counters import Snapshot
from healthd_gates.sources.unanswered import Minute, balance, errors_of


def test_what_is_under_way_at_the_end_of_a_minute_is_no_error() -> None:
    """6,000 requests a minute at 0.2 s: about 20 are under way at any time; they are answered in the next minute."""
    account = balance(None, {60: Minute(6000, 5980, 1196, 5980)}, 60)
    assert errors_of(account) == 0
    account = balance(account, {60: Minute(6000, 5980, 1196, 5980), 120: Minute(6000, 6000, 1200, 6000)}, 60)
    assert errors_of(account) == 0


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_what_stays_unanswered_adds_up(share: float) -> None:
    """Minute after minute, also those that are closed; less at most what may be under way."""
    account: Snapshot | None = None
    for number in range(1, 11):
        good = 6000 * (1 - share)
        account = balance(account, {number * 60: Minute(6000, good, good * 0.2, good)}, (number - 2) * 60)
    assert 60_000 * share - 40 <= errors_of(account) <= 60_000 * share


def test_a_minute_that_is_entered_again_replaces_itself() -> None:
    """What was read twice counts once, and the count of errors never falls."""
    once = balance(None, {60: Minute(1000, 500, 0, 0)}, 60)
    assert errors_of(balance(once, {60: Minute(1000, 500, 0, 0)}, 60)) == errors_of(once) == 500
    assert errors_of(balance(once, {60: Minute(1000, 1000, 0, 0)}, 60)) == 500


def test_an_account_survives_a_restart() -> None:
    account = balance(None, {60: Minute(1000, 500, 0, 0)}, 60)
    assert Snapshot.from_json(account.to_json()) == account
