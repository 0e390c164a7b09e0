"""Texts of callers about incidents, as they send them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from healthd.config.incident import Impact, IncidentState
from healthd.config.model import Model, one_line
from healthd.config.public_page import PublicPage
from healthd.config.whole import Fault, Whole
from healthd.nearest import not_under
from healthd.units import Duration, Names, Time


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


ALL = "*"
"""Stands for all components of the pages."""


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
    """Components that are affected, by the names that customers read; `*` stands for all. Without any, the state of no
    component changes."""
    impact: Impact | None = None
    """State that its components are shown to have at least: `degraded`, which is the default, or `outage`; `none` makes
    it an announcement. Components in planned maintenance are shown to be in maintenance, unless it says otherwise."""
    state: IncidentState | None = None
    """State of the incident: `investigating`, which is the default, `identified`, `monitoring` or `resolved`."""
    start: Annotated[Time | None, Field(alias="from")] = None
    """Begin of planned maintenance, which customers are told of from now on."""
    end: Annotated[Time | None, Field(alias="to")] = None
    """End of planned maintenance."""
    lasts: Annotated[Duration | None, Field(alias="for")] = None
    """Length of planned maintenance, instead of its end: `1h`."""
    window: bool = False
    """Put a maintenance window in force with it, of all checks of its components: it needs `windows:write` too."""

    @property
    def is_planned(self) -> bool:
        return not (self.start is None and self.end is None and self.lasts is None)

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
    """State of the incident from now on; `resolved` ends it, and cancels planned maintenance that has not begun."""
    reopen: bool = False
    """Open again what is over: `investigating`, where no `state` is given. Planned maintenance is opened again by new
    times alone."""
    impact: Impact | None = None
    """Impact from now on."""
    title: Title | None = None
    """Another headline."""
    components: Names | None = None
    """Components that are affected from now on; `*` stands for all, an empty list for none."""
    start: Annotated[Time | None, Field(alias="from")] = None
    """Another begin of planned maintenance."""
    end: Annotated[Time | None, Field(alias="to")] = None
    """Another end of planned maintenance."""
    lasts: Annotated[Duration | None, Field(alias="for")] = None
    """Length of planned maintenance from its begin, instead of its end."""

    @property
    def is_moved(self) -> bool:
        """True if it has times of planned maintenance."""
        return not (self.start is None and self.end is None and self.lasts is None)

    def faults(self, context: Any) -> Iterator[Fault]:
        if context is not None:
            yield from _strange_components(self.components or (), context)


def component_names(every: Mapping[str, PublicPage], pages: Sequence[str]) -> list[str]:
    """Return the names of the components of some pages; of one that is gone there are none."""
    return [part.name for name in pages if name in every for part in every[name].components]


def _strange_components(components: Collection[str], known: Collection[str]) -> Iterator[Fault]:
    """Yield the components that none of the pages has."""
    for name in components:
        if name != ALL and name not in known:
            yield Fault(f"names {not_under('the components of its pages', name, known)}", ("pages", "components"))
