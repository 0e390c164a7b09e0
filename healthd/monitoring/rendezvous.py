"""Rendezvous hashing (Thaler and Ravishankar, 1998): every replica computes the same order, and nobody assigns.

A replica that comes or goes moves only the checks that it runs then, or ran.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def in_order(check: str, replicas: Iterable[str]) -> list[str]:
    """Return the replicas in the order in which they are to run a check."""
    return sorted(replicas, key=lambda replica: (_weight(check, replica), replica), reverse=True)


def _weight(check: str, replica: str) -> bytes:
    return blake2b(f"{replica}\0{check}".encode(), digest_size=8).digest()
