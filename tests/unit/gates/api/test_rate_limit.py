"""How many calls a caller may make."""

import pytest

from healthd.web.problems import Problem
from healthd_gates.api.rate_limit import Rate, RateLimiter
from tests.fakes.monitoring import HandClock


def calls_let_in(limiter: RateLimiter, caller: str, calls: int) -> int:
    let_in = 0
    for _ in range(calls):
        try:
            limiter.admit(caller)
        except Problem:
            continue
        let_in += 1
    return let_in


def test_a_burst_is_let_in_and_what_is_above_it_waits() -> None:
    """The answer says how many seconds to wait, and waiting them is enough."""
    clock = HandClock()
    limiter = RateLimiter(Rate(per_second=0.5, burst=3), clock)
    assert calls_let_in(limiter, "ci", 10) == 3
    with pytest.raises(Problem) as refused:
        limiter.admit("ci")
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "2"}
    clock.seconds += 2
    assert calls_let_in(limiter, "ci", 10) == 1


def test_nobody_pays_for_another() -> None:
    """Each caller has a bucket of its own."""
    limiter = RateLimiter(Rate(per_second=1, burst=1), HandClock())
    assert calls_let_in(limiter, "one", 2) == 1
    assert calls_let_in(limiter, "other", 1) == 1


def test_a_pause_refills_no_more_than_a_burst() -> None:
    """A night without calls does not allow a flood in the morning."""
    clock = HandClock()
    limiter = RateLimiter(Rate(per_second=10, burst=5), clock)
    calls_let_in(limiter, "ci", 5)
    clock.seconds += 36_000
    assert calls_let_in(limiter, "ci", 100) == 5
