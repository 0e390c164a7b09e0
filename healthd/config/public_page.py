"""Public pages: what customers see of some checks, under names that were given for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from healthd.config.external_url import ExternalUrl
from healthd.config.model import Model, one_line
from healthd.cron import Zone
from healthd.labels import matches
from healthd.units import Names

Language = Literal["en", "de", "fr", "es"]
ALL_LANGUAGES: tuple[Language, ...] = ("en", "de", "fr", "es")
Line = Annotated[
    str,
    Field(min_length=1, max_length=80),
    StringConstraints(strip_whitespace=True),
    AfterValidator(one_line),
]
LongLine = Annotated[
    str,
    Field(min_length=1, max_length=500),
    StringConstraints(strip_whitespace=True),
    AfterValidator(one_line),
]


class Component(Model):
    """Part of a service, as customers know it. It is down while any of its checks is."""

    name: Line
    """Name that customers read."""
    description: LongLine | None = None
    """Sentence below the name."""
    checks: Names = ()
    """Names of its checks, which customers never see; `*` matches any text."""
    groups: Names = ()
    """Groups whose checks belong to it."""

    @model_validator(mode="after")
    def _has_checks(self) -> Self:
        if not (self.checks or self.groups):
            raise ValueError("has no checks: write checks or groups; `checks: '*'` are all")
        return self

    def takes(self, check: str, groups: Collection[str]) -> bool:
        """True if a check, which is in these groups, belongs to it."""
        return matches(check, self.checks) or any(group in groups for group in self.groups)


class PublicPage(Model):
    """Page for customers, at `/status/NAME`. It needs no token, and shows nothing but what stands here and what people
    write about incidents."""

    title: Line | None = None
    """Title; by default the name of the page."""
    components: tuple[Component, ...] = Field(min_length=1, max_length=50)
    """Parts of the service, in the order in which they are shown."""
    languages: tuple[Language, ...] = Field(ALL_LANGUAGES, min_length=1)
    """Languages of the page's own words, as the visitor's browser asks for them; the first is for all others."""
    announcement: LongLine | None = None
    """Text on top of the page."""
    timezone: Zone = "UTC"
    """Time zone of its times and days."""
    uptime_days: int = Field(90, ge=0, le=90)
    """Days of which it shows the uptime; 0 shows none."""
    maintenance: bool = True
    """True if it shows planned maintenance of the next two weeks: when, and of which components."""
    url: ExternalUrl | None = None
    """External address of this page, where it has its own; by default `http.external_url` and its path."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        for key, names in (("components", [it.name for it in self.components]), ("languages", [*self.languages])):
            if twice := [name for name, times in Counter(names).items() if times > 1]:
                raise ValueError(f"{key} has {twice[0]} twice")
        return self
