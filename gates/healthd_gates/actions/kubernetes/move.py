"""The results of reading the cluster: a change to make, or a wait."""

from __future__ import annotations

from dataclasses import dataclass

from healthd.kubernetes.api import Patch


@dataclass(frozen=True, slots=True)
class Move:
    """A change, and the same in words."""

    patch: Patch
    says: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """All changes are made, and the cluster's controllers have not carried them out yet."""

    says: str
