"""Checks and services that a caller may change, where its token is bound to some. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from healthd.config.window import Labelled, has_labels
from healthd.labels import matches


@dataclass(frozen=True, slots=True)
class Reach:
    """Names and labels to which a token is bound: what is named by service, check or group, and has the labels. Where
    it names something, it reaches nothing of the kinds that it does not name; labels alone reach all that has them."""

    services: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    labels: Labelled | None = None

    def service(self, name: str, labels: Mapping[str, str]) -> bool:
        """True if it reaches a service with these labels."""
        return (matches(name, self.services) or not self.names) and has_labels(labels, self.labels or {})

    def check(self, name: str, labels: Mapping[str, str], groups: Collection[str]) -> bool:
        """True if it reaches a check with these labels, which is in these groups."""
        named = matches(name, self.checks) or any(matches(group, self.groups) for group in groups)
        return (named or not self.names) and has_labels(labels, self.labels or {})

    def narrows(self, wanted: Labelled) -> bool:
        """True if all that has the wanted labels has those of the reach as well."""
        own = (self.labels or {}).items()
        return all(wanted.get(label) and set(wanted[label]) <= set(values) for label, values in own)

    @property
    def names(self) -> bool:
        """True if it is bound to names, and not to labels alone."""
        return bool(self.services or self.checks or self.groups)

    def __str__(self) -> str:
        parts = [
            f"{kind} {', '.join(names)}"
            for kind, names in (("services", self.services), ("checks", self.checks), ("groups", self.groups))
            if names
        ]
        parts += [f"{name}={'|'.join(values)}" for name, values in (self.labels or {}).items()]
        return " and ".join(parts)
