"""Reasons of traffic that is not divided as ordered, told alike by an action and the deploy tool of a proxy."""

from __future__ import annotations

from collections.abc import Sequence


class NotDivided(Exception):  # noqa: N818 - a reason, for people
    """The traffic is not known to be divided as it should; the same a moment later may succeed."""


class Impossible(NotDivided):
    """It never will be, until a person mends something."""


class Misnamed(Impossible):
    """The options name what is not there. `key` is the one that does."""

    def __init__(self, key: Sequence[str | int], why: str) -> None:
        super().__init__(why)
        self.key = key


class NoneUp(NotDivided):
    """None of the servers that are to get the traffic is up."""
