"""Texts of people for customers: which text is taken, and from whom. The API and the page for people both use it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from healthd.config.in_force import Current
from healthd.config.incident import Incident, Update
from healthd.config.public_page import Component, PublicPage
from healthd.config.settings import Settings
from healthd.monitoring.incidents import Incidents
from healthd.runtime.clock import Clock
from healthd.web.auth import Caller
from healthd.web.problems import Problem, not_known_yet
from healthd.web.public.maintenance import Maintenance, following, opening
from healthd.web.public.membership import Memberships
from healthd.web.public.reopening import reopening
from healthd.web.public.written import ALL, NewIncident, NewUpdate, component_names
from healthd.web.windows_api import WindowsApi

_MOST_OPEN, _MOST_UPDATES = 500, 100


class Writing:
    """Incidents as callers may write them. Every method raises Problem."""

    def __init__(
        self,
        incidents: Incidents,
        windows: WindowsApi,
        settings: Current[Settings],
        memberships: Memberships,
        clock: Clock,
        redact: Callable[[str], str],
    ) -> None:
        self._incidents, self._settings, self._memberships = incidents, settings, memberships
        self._maintenance = Maintenance(windows)
        self._clock, self._redact = clock, redact

    @property
    def pages(self) -> Mapping[str, PublicPage]:
        """The public pages, which a new incident is validated against."""
        return self._settings.now.public_pages

    def components_of(self, pages: Sequence[str]) -> list[str]:
        """Return the names of the components of some pages, which an update is validated against."""
        return component_names(self.pages, pages)

    async def open(self, caller: Caller, wanted: NewIncident) -> Incident:
        """Open an incident."""
        self._refuse_one_more()
        pages = wanted.pages or tuple(self.pages)
        now = self._clock.now()
        update = Update(
            id=secrets.token_hex(8),
            incident=secrets.token_hex(4),
            at=now,
            author=caller.name,
            pages=pages,
            components=self._named(wanted.components, pages),
            exact=True,
            **wanted.model_dump(include={"title", "text"}),
            **opening(wanted, now),
        )
        await self._refuse(caller, update)
        if wanted.window:
            update = await self._maintenance.begin(caller, update, self._parts(update))
        return await self._add(update, "incident.open")

    async def update(self, caller: Caller, incident: Incident, wanted: NewUpdate) -> Incident:
        """Add an update to an incident."""
        await self._refuse_beyond_reach(caller, incident.last.pages, incident.last.components)
        changes = wanted.model_dump(exclude_none=True, include={"title", "impact", "state"})
        if wanted.components is not None:
            changes["components"] = self._named(wanted.components, incident.last.pages)
            changes |= {} if wanted.components else {"exact": True}
        changes |= following(incident.last, wanted, self._clock.now()) | reopening(incident, wanted)
        if not wanted.text and not any(getattr(incident.last, name) != value for name, value in changes.items()):
            raise Problem(422, "Invalid update", "it says nothing new: write text, state, impact, title or components")
        if incident.last.is_over and not incident.last.model_copy(update=changes).is_over:
            self._refuse_one_more()
        return await self._follow(caller, incident, "incident.update", text=wanted.text, **changes)

    async def withdraw(self, caller: Caller, key: str) -> Incident:
        """Take an incident with all its updates from the pages."""
        return await self._follow(caller, await self.meant(key), "incident.withdraw", text="", withdrawn=True)

    async def meant(self, key: str) -> Incident:
        """Return the incident of an id, or of the beginning of one that no other has, as the journal has it now."""
        await self._incidents.refresh()
        found = self._incidents.find(key)
        if not found and not self._incidents.is_complete:
            raise not_known_yet("incidents")
        if not found:
            told = f"no incident has the id {key[:64]!r}; `healthd incident list` and GET /incidents show them"
            raise Problem(404, "No such incident", told)
        if len(found) > 1:
            raise Problem(409, "Several incidents", f"{', '.join(it.id for it in found[:10])} begin with {key[:64]}")
        return found[0]

    def _refuse_one_more(self) -> None:
        """Raise Problem 429 if no other incident may be open."""
        if sum(it.is_open for it in self._incidents.all()) >= _MOST_OPEN:
            raise Problem(429, "Too many incidents", f"{_MOST_OPEN} are open: resolve or withdraw some first")

    async def _follow(self, caller: Caller, incident: Incident, action: str, **changes: Any) -> Incident:
        if len(incident.updates) >= _MOST_UPDATES and not changes.get("withdrawn"):
            raise Problem(429, "Too many updates", f"it has {_MOST_UPDATES}: open another incident")
        await self._refuse_beyond_reach(caller, incident.last.pages, incident.last.components)
        # Another replica's clock may be ahead: an update is later than the one before it.
        at = max(self._clock.now(), incident.last.at + timedelta(milliseconds=1))
        new = {"id": secrets.token_hex(8), "at": at, "author": caller.name}
        update = incident.last.model_copy(update={**new, **changes})
        await self._refuse(caller, update)
        update = await self._maintenance.follow(caller, incident.last, update, self._parts(update))
        return await self._add(update, action)

    async def _refuse(self, caller: Caller, update: Update) -> None:
        """Raise Problem for what is beyond the caller's reach, or says a secret."""
        await self._refuse_beyond_reach(caller, update.pages, update.components)
        said = (("title", update.title), ("text", update.text))
        if secret := [name for name, text in said if self._redact(text) != text]:
            told = "; ".join(f"{name}: contains a secret: leave it out" for name in secret)
            raise Problem(422, "Invalid incident", told)

    async def _add(self, update: Update, action: str) -> Incident:
        await self._incidents.add(update, action)
        return next(iter(self._incidents.find(update.incident)), Incident((update,)))

    def _named(self, components: Sequence[str], pages: Sequence[str]) -> tuple[str, ...]:
        """Return the components that are meant by their names, or by `ALL`."""
        return tuple(dict.fromkeys(self.components_of(pages))) if ALL in components else tuple(components)

    def _parts(self, update: Update) -> list[Component]:
        """Return the components that an update is about."""
        known = (part for name in update.pages if name in self.pages for part in self.pages[name].components)
        return [part for part in known if update.affects(part.name)]

    async def _refuse_beyond_reach(self, caller: Caller, pages: Sequence[str], components: Collection[str]) -> None:
        """Raise Problem 403 for an incident of components with checks that the caller's token is not bound to."""
        reach = caller.reach
        if reach is None:
            return
        if not components:
            raise caller.beyond_reach("what is said of a whole page: name the components")
        known = (await self._memberships.now()).pages
        for page in (it for it in pages if it in self.pages and it in known):
            for part, members in zip(self.pages[page].components, known[page], strict=True):
                owned = [reach.check(it.name, it.labels, it.groups) for it in members]
                if part.name in components and not (owned and all(owned)):
                    raise caller.beyond_reach(f"what is said of the component {part.name}")
