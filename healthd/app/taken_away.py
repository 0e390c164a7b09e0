"""Parts that reloads took away: a file that lost its end is valid, and nobody is told anything any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from healthd.config.in_force import TakenAway
from healthd_gates.config.settings import Config

_MOST = 20  # names of a kind
_TOLD_FOR = timedelta(hours=12)  # whoever takes over the shift reads it
_WORDS = {"routes_to": "routes to", "public_pages": "public pages"}


class Removals:
    """All that the reloads of this process took away, until a later one brings it back, or it is told no more."""

    def __init__(self) -> None:
        self._past: list[tuple[datetime, dict[str, list[str]]]] = []

    def note(self, before: Config, after: Config, now: datetime) -> dict[str, list[str]]:
        """Return the names that this reload took away, by what they name; of routes, whom none leads to any more."""
        away, have = _missing(_names(before), _names(after)), _names(after)
        told = [(at, _missing(gone, have)) for at, gone in [*self._past, (now, away)] if now - at < _TOLD_FOR]
        self._past = [(at, gone) for at, gone in told if gone]
        return {what: _shortened(names) for what, names in away.items()}

    def told(self, now: datetime) -> tuple[TakenAway, ...]:
        """Return what people are told of now, the newest first."""
        return tuple(TakenAway(at, _words(gone)) for at, gone in reversed(self._past) if now - at < _TOLD_FOR)


def _missing(had: Mapping[str, Iterable[str]], have: Mapping[str, Mapping[str, None]]) -> dict[str, list[str]]:
    gone = {what: [name for name in names if name not in have[what]] for what, names in had.items()}
    return {what: names for what, names in gone.items() if names}


def _names(it: Config) -> dict[str, dict[str, None]]:
    routes = (name for route in it.routes if route.holds_in(it.environment) for name in route.to)
    kinds: dict[str, Iterable[str]] = {
        "checks": it.active_checks, "notifiers": it.active_notifiers, "routes_to": routes, "services": it.services,
        "actions": it.actions, "hooks": it.hooks, "callers": (grant.name for grant in it.auth.grants),
        "public_pages": it.public_pages,
    }  # fmt: skip
    return {what: dict.fromkeys(names) for what, names in kinds.items()}


def _words(gone: Mapping[str, list[str]]) -> tuple[str, ...]:
    return tuple(f"{_WORDS.get(what, what)} {', '.join(_shortened(names))}" for what, names in gone.items())


def _shortened(names: list[str]) -> list[str]:
    return names if len(names) <= _MOST else [*names[:_MOST], f"and {len(names) - _MOST} more"]
