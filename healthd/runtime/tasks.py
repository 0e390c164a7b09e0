"""Background tasks that continue when one of them fails, and a report of the stuck ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_STEADY_AFTER = 60.0  # seconds after which a restarted task counts as stable
_ENDING = 5.0  # seconds for tasks to end once they are cancelled
SILENT_AFTER = 30.0  # seconds without a heartbeat after which a vital task counts as stuck

Work = Callable[[], Coroutine[Any, Any, None]]


class Pulse:
    """Heartbeats of the tasks without which the daemon does nothing, by name.

    Silence is counted up to the last heartbeat of any task: a process that was stopped as a whole has missed nothing.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def beat(self, name: str) -> None:
        self._last[name] = asyncio.get_running_loop().time()

    @property
    def stuck(self) -> tuple[str, ...]:
        """Names of tasks that have been silent for too long."""
        latest = max(self._last.values(), default=0.0)
        return tuple(name for name, last in self._last.items() if latest - last > SILENT_AFTER)


class Tasks:
    """Runs tasks until stopped. A task that fails, ends or is cancelled from within is restarted."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        """Create the tasks. `failed(name)` is called on each failure."""
        self._failed = failed
        self._kept: set[asyncio.Task[None]] = set()

    def begin(self, works: Mapping[str, Work]) -> None:
        """Keep tasks running from now on."""
        self._kept |= {asyncio.create_task(self._keep(name, work), name=name) for name, work in works.items()}

    async def run(self, works: Mapping[str, Work], stop: asyncio.Event, before_end: Work) -> None:
        """Keep the tasks running until `stop`; then run `before_end`, and end each task, which none can delay."""
        self.begin(works)
        try:
            await stop.wait()
            await before_end()
        finally:
            for task in self._kept:
                task.cancel()
            _, late = await asyncio.wait(self._kept, timeout=_ENDING)
            if late:
                _log.error(
                    "tasks did not end in time and were abandoned", tasks=sorted(task.get_name() for task in late)
                )

    async def _keep(self, name: str, work: Work) -> None:
        pause, loop = _FIRST_PAUSE / 2, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await work()
                _log.error("background task ended, restarting", task=name)
            except asyncio.CancelledError:
                if (me := asyncio.current_task()) is not None and me.cancelling():
                    raise
                _log.error("background task cancelled itself, restarting", task=name)
            except Exception:
                _log.exception("background task failed, restarting", task=name)
            self._failed(name)
            pause = _FIRST_PAUSE if loop.time() - began > _STEADY_AFTER else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
