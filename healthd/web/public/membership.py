"""Checks of the components of every public page. Which they are is found once for a configuration, off the event loop:
there may be thousands of checks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from healthd.config.in_force import Current
from healthd.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Member:
    """Check of a component, with what decides whether a window covers it."""

    name: str
    labels: Mapping[str, str]
    groups: Collection[str]


@dataclass(frozen=True, slots=True)
class Membership:
    """Members of each component, in their order, by page."""

    revision: int
    pages: Mapping[str, tuple[tuple[Member, ...], ...]]

    @property
    def members(self) -> dict[str, Member]:
        """All checks of all pages."""
        return {it.name: it for parts in self.pages.values() for part in parts for it in part}


class Memberships:
    """Membership of the configuration in force."""

    def __init__(self, settings: Current[Settings]) -> None:
        self._settings = settings
        self._known: Membership | None = None

    async def now(self) -> Membership:
        """Return that of this moment: no reload has come since."""
        while self._known is None or self._known.revision != self._settings.revision:
            self._known = await asyncio.to_thread(membership, self._settings.now, self._settings.revision)
        return self._known


def membership(settings: Settings, revision: int = 0) -> Membership:
    """Return the members of all components of a configuration."""
    groups: dict[str, set[str]] = defaultdict(set)
    for group, inside in settings.active_groups.items():
        for check in inside.checks:
            groups[check].add(group)
    checks = [Member(name, check.labels, frozenset(groups[name])) for name, check in settings.active_checks.items()]
    pages = {
        name: tuple(tuple(it for it in checks if part.takes(it.name, it.groups)) for part in page.components)
        for name, page in settings.public_pages.items()
    }
    return Membership(revision, pages)
