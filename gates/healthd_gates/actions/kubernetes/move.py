"""What a look at the cluster finds left to do."""

from __future__ import annotations

from dataclasses import dataclass

from healthd_gates.actions.kubernetes.api import Patch


@dataclass(frozen=True, slots=True)
class Move:
    """A change, and the same in words."""

    patch: Patch
    says: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Everything is asked for, and the cluster's controllers have not brought it about yet."""

    says: str
