"""Leases by which replicas that share the journal know of each other: how long one lasts, and who holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

LEASE = 10.0  # seconds for which a replica that fell silent still counts
LOOK = 2.5  # seconds between two exchanges with the other replicas
LONGEST_LEASE = timedelta(seconds=900)  # what ends later was written by a clock that was ahead


@dataclass(frozen=True, slots=True)
class Identity:
    """This process among the replicas. `address` stays the same when it starts again; `environment` may change."""

    id: str
    address: str
    host: str
    environment: Callable[[], str]


def is_valid(ends: datetime, moment: datetime) -> bool:
    """True for a lease that holds: it has not ended, nor was it written by a clock that was ahead."""
    return moment < ends <= moment + LONGEST_LEASE
