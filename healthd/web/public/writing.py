"""What people write for customers: which text is taken, and from whom. The API and the page for people both use it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from healthd.config.in_force import Current
from healthd.config.incident import Impact, Incident, IncidentState, Update
from healthd.config.model import Model, one_line
from healthd.config.public_page import PublicPage
from healthd.config.settings import Settings
from healthd.config.whole import Fault, Whole
from healthd.monitoring.incidents import Incidents
from healthd.nearest import not_under
from healthd.runtime.clock import Clock
from healthd.units import Names
from healthd.web.auth import Caller
from healthd.web.problems import Problem, not_known_yet
from healthd.web.public.membership import Memberships

_MOST_OPEN, _MOST_UPDATES = 500, 100


def _paragraphs(text: str) -> str:
    """Return a text that people read. Raises ValueError where a character of it cannot be printed."""
    text = text.replace("\r\n", "\n")
    if not all(line.isprintable() for line in text.split("\n")):
        raise ValueError("has a character that cannot be printed")
    return text


Title = Annotated[
    str, Field(min_length=1, max_length=120), StringConstraints(strip_whitespace=True), AfterValidator(one_line)
]
Text = Annotated[str, Field(max_length=2000), StringConstraints(strip_whitespace=True), AfterValidator(_paragraphs)]


class NewIncident(Whole, Model):
    """Incident to open, or an announcement. It is validated against the public pages."""

    stand_ins: ClassVar = {"title": "missing"}

    title: Title
    """Headline that customers read."""
    text: Text = ""
    """First update; line breaks begin paragraphs."""
    pages: Names = ()
    """Public pages that show it; it can be left out where there is only one."""
    components: Names = ()
    """Components that are affected, by the names that customers read; all by default."""
    impact: Impact = "degraded"
    """State that its components are shown to have at least: `degraded` or `outage`; `none` makes it an
    announcement."""
    state: IncidentState = "investigating"
    """How far it is: `investigating`, `identified`, `monitoring` or `resolved`."""

    def faults(self, context: Any) -> Iterator[Fault]:
        if not isinstance(context, Mapping):  # nothing is known to validate it against
            return
        pages = self.pages or (tuple(context) if len(context) == 1 else ())
        if not pages:
            told = f"write pages, of {', '.join(context)}" if context else "there is none: write public_pages"
            yield Fault(f"{told}: it must be known which public page shows it", ("pages",))
        strange = [name for name in pages if name not in context]
        yield from (Fault(f"names {not_under('public_pages', name, context)}", ("pages",)) for name in strange)
        if pages and not strange:
            yield from _strange_components(self.components, component_names(context, pages))


class NewUpdate(Whole, Model):
    """Update of an incident. What is left out stays as it is. It is validated against the names of the components of
    the incident's pages."""

    text: Text = ""
    """Text of the update; line breaks begin paragraphs."""
    state: IncidentState | None = None
    """How far it is from now on; `resolved` ends it."""
    impact: Impact | None = None
    """Impact from now on."""
    title: Title | None = None
    """Another headline."""
    components: Names | None = None
    """Components that are affected from now on."""

    def faults(self, context: Any) -> Iterator[Fault]:
        if context is not None:
            yield from _strange_components(self.components or (), context)


def component_names(every: Mapping[str, PublicPage], pages: Sequence[str]) -> list[str]:
    """Return the names of the components of some pages; of one that is gone there are none."""
    return [part.name for name in pages if name in every for part in every[name].components]


def _strange_components(components: Collection[str], known: Collection[str]) -> Iterator[Fault]:
    """Yield the components that none of the pages has."""
    for name in components:
        if name not in known:
            yield Fault(f"names {not_under('the components of its pages', name, known)}", ("pages", "components"))


class Writing:
    """Incidents as callers may write them. Every method raises Problem."""

    def __init__(
        self,
        incidents: Incidents,
        settings: Current[Settings],
        memberships: Memberships,
        clock: Clock,
        redact: Callable[[str], str],
    ) -> None:
        self._incidents, self._settings, self._memberships = incidents, settings, memberships
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
        if sum(it.is_open for it in self._incidents.all()) >= _MOST_OPEN:
            raise Problem(429, "Too many incidents", f"{_MOST_OPEN} are open: resolve or withdraw some first")
        pages = wanted.pages or tuple(self.pages)
        update = Update(
            id=secrets.token_hex(8),
            incident=secrets.token_hex(4),
            at=self._clock.now(),
            author=caller.name,
            pages=pages,
            **wanted.model_dump(exclude={"pages"}),
        )
        return await self._add(caller, update, "incident.open")

    async def update(self, caller: Caller, incident: Incident, wanted: NewUpdate) -> Incident:
        """Add an update to an incident."""
        changes = wanted.model_dump(exclude_none=True, exclude={"text"})
        if not wanted.text and not any(getattr(incident.last, name) != value for name, value in changes.items()):
            raise Problem(422, "Invalid update", "it says nothing new: write text, state, impact, title or components")
        return await self._follow(caller, incident, "incident.update", text=wanted.text, **changes)

    async def withdraw(self, caller: Caller, key: str) -> Incident:
        """Take an incident with all its updates from the pages."""
        return await self._follow(caller, self.meant(key), "incident.withdraw", text="", withdrawn=True)

    def meant(self, key: str) -> Incident:
        """Return the incident of an id, or of the beginning of one that no other has."""
        found = self._incidents.find(key)
        if not found and not self._incidents.is_complete:
            raise not_known_yet("incidents")
        if not found:
            told = f"no incident has the id {key[:64]!r}; `healthd incident list` and GET /incidents show them"
            raise Problem(404, "No such incident", told)
        if len(found) > 1:
            raise Problem(409, "Several incidents", f"{', '.join(it.id for it in found[:10])} begin with {key[:64]}")
        return found[0]

    async def _follow(self, caller: Caller, incident: Incident, action: str, **changes: Any) -> Incident:
        if len(incident.updates) >= _MOST_UPDATES and not changes.get("withdrawn"):
            raise Problem(429, "Too many updates", f"it has {_MOST_UPDATES}: open another incident")
        await self._refuse_beyond_reach(caller, incident.last.pages, incident.last.components)
        # Another replica's clock may be ahead: an update is later than the one before it.
        at = max(self._clock.now(), incident.last.at + timedelta(milliseconds=1))
        new = {"id": secrets.token_hex(8), "at": at, "author": caller.name}
        return await self._add(caller, incident.last.model_copy(update={**new, **changes}), action)

    async def _add(self, caller: Caller, update: Update, action: str) -> Incident:
        await self._refuse_beyond_reach(caller, update.pages, update.components)
        said = (("title", update.title), ("text", update.text))
        if secret := [name for name, text in said if self._redact(text) != text]:
            told = "; ".join(f"{name}: contains a secret: leave it out" for name in secret)
            raise Problem(422, "Invalid incident", told)
        await self._incidents.add(update, action)
        return next(iter(self._incidents.find(update.incident)), Incident((update,)))

    async def _refuse_beyond_reach(self, caller: Caller, pages: Sequence[str], components: Collection[str]) -> None:
        """Raise Problem 403 for an incident of components with checks that the caller's token is not bound to."""
        reach = caller.reach
        if reach is None:
            return
        if not components:
            raise caller.beyond_reach("what all components of a page are said to be: name the components")
        known = (await self._memberships.now()).pages
        for page in (it for it in pages if it in self.pages and it in known):
            for part, members in zip(self.pages[page].components, known[page], strict=True):
                owned = [reach.check(it.name, it.labels, it.groups) for it in members]
                if part.name in components and not (owned and all(owned)):
                    raise caller.beyond_reach(f"what is said of the component {part.name}")
