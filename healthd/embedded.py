"""Checks inside an asyncio application of somebody's: no listener, no journal, no gate, no signal handler.

What holds for the daemon holds here: each probe has a hard deadline, an answer comes from memory, and what is stale is
not ready.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from healthd.config.explain import explained, without_follow_ups
from healthd.config.settings import Settings
from healthd.config.yaml_text import read_yaml
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.web.documents import group_document

_VARIABLE = re.compile(r"\$\{(\w+)[^}]*\}")


class Checks:
    """Running checks, between `async with` and its end. The options are those under `checks` and `groups` of a
    configuration file, as Python values; variables are not filled in."""

    def __init__(self, checks: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Any] | None = None) -> None:
        """Read the options. Raises ValueError for what a configuration file may not say either, with every key and its
        cure and without a value, which might be a secret."""
        self._settings = _read({"checks": dict(checks), "groups": dict(groups or {})})
        self._clock = SystemClock()
        self._board = Board(self._clock)
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        schedule = Schedule(lambda _check, _reason: None)
        suite = Suite(
            board=self._board,
            schedule=schedule,
            clock=self._clock,
            redact=Redactor.of(self._settings),
            listener=Listener(lambda *_: None, lambda *_: None),
            environ=os.environ,
        )
        await suite.arrange(self._settings)
        ticking = asyncio.create_task(schedule.run(), name="healthd checks")
        self._running.push_async_callback(_end, ticking)
        self._running.push_async_callback(suite.close)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._running.aclose()

    def group(self, name: str = "ready", *, detailed: bool = False) -> tuple[bool, dict[str, Any]]:
        """Return whether a group of checks is ready, and the document that the daemon would answer with; `detailed`
        adds messages and numbers. Raises KeyError for a group that there is not."""
        group = self._board.group(name)
        return group.ready, group_document(group, now=self._clock.now(), draining=False, detailed=detailed)


def _read(options: dict[str, Any]) -> Settings:
    if unfilled := "\n".join(_unfilled(options)):
        raise ValueError(unfilled)
    try:
        return Settings.model_validate(options)
    except ValidationError as error:
        problems = without_follow_ups([*explained(error, read_yaml(json.dumps(options, default=str)), "", Settings)])
    hide = Redactor(_addresses(options)).known
    raise ValueError("\n".join(f"{problem.key}: {hide(problem.message)}" for problem in problems))


def _unfilled(value: Any, key: str = "") -> Iterator[str]:
    """Yield a problem for each value that is a variable of a configuration file, and each address that has one."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _unfilled(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, str) and (found := _VARIABLE.search(value)) and ("://" in value or found[0] == value):
        yield f'{key}: variables are not filled in here: write os.environ["{found[1]}"] instead of ${{{found[1]}}}'


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _addresses(item)
    elif isinstance(value, str) and "://" in value:
        yield value


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
