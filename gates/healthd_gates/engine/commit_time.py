"""Finds times of a commit from which no lead time can count. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from healthd_gates.domain.request import VerifyRequest

_CLOCKS = timedelta(minutes=5)  # that two clocks may differ by
_OLD = timedelta(days=366)


def odd_commit_time(request: VerifyRequest, moment: datetime) -> Iterator[str]:
    """Yield a note where the commit is later than now, or so old that the time is probably another's, such as 0 of a
    variable that was not set. The gate is judged all the same: a wrong clock must stop no deploy."""
    at = request.deployment.committed_at
    if at is None:
        return
    if at > moment + _CLOCKS:
        yield f"committed_at, {at.isoformat()}, is in the future: no lead time is counted of this deploy"
    elif moment - at > _OLD:
        days = (moment - at).days
        yield f"committed_at, {at.isoformat()}, is {days:,} days ago, which counts as the lead time of this deploy"
