"""What a reload took away, for the log: a file that lost its end is valid, and nobody is told anything any more."""

from __future__ import annotations

from collections.abc import Iterable

from healthd_gates.config.settings import Config

_MOST = 20  # names of a kind


def taken_away(before: Config, after: Config) -> dict[str, list[str]]:
    """Return the names that are in force no more, by what they name; of routes, whom none leads to any more."""
    had, have = _names(before), _names(after)
    gone = {what: [name for name in names if name not in have[what]] for what, names in had.items()}
    return {what: _shortened(names) for what, names in gone.items() if names}


def _names(it: Config) -> dict[str, dict[str, None]]:
    routes = (name for route in it.routes if route.holds_in(it.environment) for name in route.to)
    kinds: dict[str, Iterable[str]] = {
        "checks": it.active_checks, "notifiers": it.active_notifiers, "routes_to": routes, "services": it.services,
        "actions": it.actions, "hooks": it.hooks, "callers": (grant.name for grant in it.auth.grants),
        "public_pages": it.public_pages,
    }  # fmt: skip
    return {what: dict.fromkeys(names) for what, names in kinds.items()}


def _shortened(names: list[str]) -> list[str]:
    return names if len(names) <= _MOST else [*names[:_MOST], f"and {len(names) - _MOST} more"]
