"""Reads the version of a pod template: from a label of the pods, or from the tag or the digest of a container's
image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Template = Mapping[str, Any]
_WITH_V = re.compile(r"^v(?=\d)")


class Image(NamedTuple):
    """The parts of an image reference: `registry:5000/shop/api:1.0@sha256:…`."""

    name: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, reference: str) -> Image:
        """Parse a reference. The port of a registry is no tag: a tag comes after the last slash."""
        rest, _, digest = reference.partition("@")
        path, slash, last = rest.rpartition("/")
        name, _, tag = last.partition(":")
        return cls(f"{path}{slash}{name}", tag or None, digest or None)


class AmbiguousError(Exception):
    """Several containers could be the one whose image has the version."""

    def __init__(self, containers: Iterable[str]) -> None:
        named = " and ".join(sorted(containers))
        super().__init__(f"the images of {named} could both be the version: say which by `container`")


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that a rollback is about, and how to read one off a pod template.

    `quarantined` holds versions that failed a gate: none of them replaces the baseline in a rollback.
    """

    label: str
    candidate: str
    baseline: str | None
    container: str | None = None
    quarantined: frozenset[str] = frozenset()

    def settled(self, templates: Sequence[Template]) -> Versions:
        """Return the same with the container known: the one that ran the candidate in some revision, among several the
        one that ran the baseline too. Raises AmbiguousError: a sidecar's tag must not be taken for the version.
        """
        unlabelled = [template for template in templates if self.label not in _labels(template)]
        if self.container is not None or not unlabelled:
            return self
        ran = {version: _that_ran(version, unlabelled) for version in (self.candidate, self.baseline) if version}
        found = ran[self.candidate]
        if len(found) > 1:
            found = found & ran.get(self.baseline or "", found) or found
        if len(found) > 1:
            raise AmbiguousError(found)
        return Versions(self.label, self.candidate, self.baseline, next(iter(found), None), self.quarantined)

    def runs_candidate(self, template: Template) -> bool:
        return any(_is_same(self.candidate, name) for name in self._read(template))

    def runs_baseline(self, template: Template) -> bool:
        return self.baseline is not None and any(_is_same(self.baseline, name) for name in self._read(template))

    def is_quarantined(self, template: Template) -> bool:
        return any(_is_same(failed, name) for failed in self.quarantined for name in self._read(template))

    def shown(self, template: Template) -> str:
        """Return a template's version for people."""
        return next(iter(self._read(template)), "an unknown version")

    def _read(self, template: Template) -> tuple[str, ...]:
        """Return every name of the version, the most specific first."""
        labels = _labels(template)
        if self.label in labels:
            return (str(labels[self.label]),)
        images = _images(template)
        if self.container is None and len(images) > 1:
            return ()
        image = next(iter(images.values()), None) if self.container is None else images.get(self.container)
        return tuple(part for part in (image.tag, image.digest) if part) if image else ()


def _is_same(version: str, name: str) -> bool:
    """True if a label or a tag names a version, which many write with a `v` in front in one place alone."""
    return _WITH_V.sub("", version) == _WITH_V.sub("", name)


def _labels(template: Template) -> Mapping[str, Any]:
    return (template.get("metadata") or {}).get("labels") or {}


def _images(template: Template) -> dict[str, Image]:
    containers = template["spec"].get("containers") or ()
    return {str(each.get("name")): Image.parse(str(each.get("image", ""))) for each in containers}


def _that_ran(version: str, templates: Sequence[Template]) -> set[str]:
    """Return the containers whose image was this version."""
    return {
        name
        for template in templates
        for name, image in _images(template).items()
        if any(name and _is_same(version, name) for name in (image.tag, image.digest))
    }
