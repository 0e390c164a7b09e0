"""File with one weighted service, which Traefik's file provider watches: read, and replaced as a whole."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Weights = Mapping[str, int]
"""The weight of each service, by its name."""
_LONGEST = 65_536
_HEAD = "# Written by healthd at each change of weight; it may hold nothing but this service.\n"


class NotOurs(Exception):  # noqa: N818 - a reason, for people
    """The file holds something that replacing it would destroy."""


class WeightsFile:
    """Replaces the file in one step. What else is said of the weighted service, such as `sticky`, stays."""

    def __init__(self, file: Path, service: str) -> None:
        self._file, self._service = file, service

    async def look(self) -> None:
        """Check that the file could be replaced. Raises NotOurs or OSError."""
        await asyncio.to_thread(self._look)

    async def write(self, weights: Weights) -> None:
        """Write the weights, unless the file has them. Raises NotOurs or OSError.

        A write that a file system holds up for longer than the attempt does not come later, over a newer one.
        """
        given_up = threading.Event()
        try:
            await asyncio.to_thread(self._write, weights, given_up)
        finally:
            given_up.set()

    def _look(self) -> None:
        self._read()
        if not os.access(self._file.parent, os.W_OK):
            raise PermissionError(None, f"no right to write to {self._file.parent}")

    def _write(self, weights: Weights, given_up: threading.Event) -> None:
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            weighted = self._read()
            services = [{"name": name, "weight": weight} for name, weight in weights.items()]
            if weighted.get("services") == services:
                return
            document = {"http": {"services": {self._service: {"weighted": {**weighted, "services": services}}}}}
            text = io.StringIO(_HEAD)
            text.seek(0, io.SEEK_END)
            yaml = YAML(typ="safe", pure=True)
            yaml.default_flow_style = False
            yaml.dump(document, text)
            written = self._file.with_suffix(".new")  # of a kind that Traefik does not read
            with written.open("w", encoding="utf-8") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
            if not given_up.is_set():
                written.replace(self._file)

    def _read(self) -> dict[str, Any]:
        """Return what the file says of the weighted service, nothing if there is no file. Raises NotOurs or OSError."""
        try:
            with self._file.open(encoding="utf-8", errors="strict") as file:
                text = file.read(_LONGEST)
        except FileNotFoundError:
            return {}
        except ValueError:
            raise self._not_ours("is no text") from None
        try:
            found = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise self._not_ours("is no YAML") from None
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
