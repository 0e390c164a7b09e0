"""File with one weighted service, which Traefik's file provider watches: read, and replaced as a whole."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from healthd.runtime.whole_file import beside, keep_room, refuse_full, replace_file

Weights = Mapping[str, int]
"""The weight of each service, by its name."""
_LONGEST = 65_536
_HEAD = "# Written by healthd at each change of weight; it may hold nothing but this service.\n"
_VERSIONS = "# Versions of the targets: "


class NotOurs(Exception):  # noqa: N818 - a reason, for people
    """The file holds something that replacing it would destroy."""


@dataclass(frozen=True, slots=True)
class Written:
    """State of the weighted service in the file, and which version a deploy tool released to each target."""

    weighted: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each service, without the file's own provider in its name; Traefik takes 1 where none is
        said."""
        listed = self.weighted.get("services")
        found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        weights = {own_name(str(each.get("name"))): each.get("weight", 1) for each in found}
        return {name: float(weight) for name, weight in weights.items() if isinstance(weight, int | float)}


class WeightsFile:
    """Replaces the file in one step. What else is said of the weighted service, such as `sticky`, stays, and so do the
    versions of the targets."""

    def __init__(self, file: Path, service: str) -> None:
        self._file, self._service = file, service

    async def look(self) -> None:
        """Check that the file could be replaced. Raises NotOurs or OSError."""
        await asyncio.to_thread(self._look)

    async def refuse_full(self) -> None:
        """Check that the disk has room for the file, and for the way back. Raises NotOurs or OSError."""
        await asyncio.to_thread(lambda: refuse_full(self._file, len(self._text(self._read()))))

    async def read(self) -> Written:
        """Return what the file says, nothing where there is none. Raises NotOurs or OSError."""
        return await asyncio.to_thread(self._read)

    async def write(self, weights: Weights, *, goes_back: bool = False) -> None:
        """Write the weights, unless the file has them, and keep room on the disk for the way back: what `goes_back`
        uses it. Raises NotOurs or OSError.

        A write that a file system holds up for longer than the attempt does not come later, over a newer one.
        """
        await self._replaced(weights=weights, goes_back=goes_back)

    async def note(self, target: str, version: str | None) -> None:
        """Record the version of a target, None for one that is not known. Raises NotOurs or OSError."""
        await self._replaced(noted={target: version})

    async def _replaced(
        self,
        *,
        weights: Weights | None = None,
        noted: Mapping[str, str | None] | None = None,
        goes_back: bool = False,
    ) -> None:
        given_up = threading.Event()
        try:
            await asyncio.to_thread(self._replace, weights, noted or {}, given_up, goes_back)
        finally:
            given_up.set()

    def _look(self) -> None:
        self._read()
        if not os.access(self._file.parent, os.W_OK):
            raise PermissionError(None, f"no right to write to {self._file.parent}")

    def _replace(
        self, weights: Weights | None, noted: Mapping[str, str | None], given_up: threading.Event, goes_back: bool
    ) -> None:
        with beside(self._file, "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self._read()
            known = {**before.versions, **noted}
            versions = {target: version for target, version in known.items() if version is not None}
            weighted = dict(before.weighted)
            if weights is not None:
                weighted["services"] = [{"name": name, "weight": weight} for name, weight in weights.items()]
            after = Written(weighted, versions)
            if after == before:
                return
            content = self._text(after).encode()
            if not goes_back:
                keep_room(self._file, len(content))
            # Beside the file are others, of kinds that Traefik does not read.
            replace_file(self._file, content, uses_room=goes_back, unless=given_up.is_set)

    def _text(self, content: Written) -> str:
        text = io.StringIO()
        text.write(_HEAD)
        if content.versions:
            text.write(f"{_VERSIONS}{json.dumps(dict(content.versions))}\n")
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.dump({"http": {"services": {self._service: {"weighted": dict(content.weighted)}}}}, text)
        return text.getvalue()

    def _read(self) -> Written:
        try:
            with self._file.open(encoding="utf-8", errors="strict") as file:
                text = file.read(_LONGEST)
        except FileNotFoundError:
            return Written()
        except ValueError:
            raise self._not_ours("is no text") from None
        try:
            found = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise self._not_ours("is no YAML") from None
        return Written(self._weighted(found), _versions(text))

    def _weighted(self, found: Any) -> dict[str, Any]:
        """Return what a document says of the weighted service. Raises NotOurs where it says anything else."""
        if found is None:
            return {}
        for key in ("http", "services", self._service, "weighted"):
            if not isinstance(found, dict) or set(found) != {key}:
                others = sorted(str(other) for other in found if other != key) if isinstance(found, dict) else []
                raise self._not_ours(f"holds {others[0]} too" if others else f"has no {key} where one is due")
            found = found[key]
        if not isinstance(found, dict):
            raise self._not_ours("has a weighted service without services")
        return found

    def _not_ours(self, why: str) -> NotOurs:
        path = f"http.services.{self._service}.weighted"
        return NotOurs(f"{self._file} {why}: give the action a file of its own, with {path} and nothing else")


def own_name(service: str) -> str:
    """Return the name of a service as the file's own provider has it, which may leave itself out."""
    return service.removesuffix("@file")


def _versions(text: str) -> dict[str, str]:
    """Return the versions that a deploy tool noted in a file, none where a person made something else of the line."""
    for line in text.splitlines():
        if line.startswith(_VERSIONS):
            try:
                found = json.loads(line.removeprefix(_VERSIONS))
            except ValueError:
                return {}
            return {str(target): str(version) for target, version in found.items()} if isinstance(found, dict) else {}
    return {}
