"""Parts of the daemon that are loaded once health is served: the drivers of checks, `rest`, and `gates` where they are
enabled.

They are imported in a thread, and put to work when they are there; a fault or a hang of them leaves health as it is.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from healthd.app.health import Health
from healthd.config.listen_address import note_in_pod
from healthd.model import Probe, Transition
from healthd.runtime.closing import close_part
from healthd.runtime.daemon_thread import in_daemon_thread
from healthd.runtime.tasks import Tasks, Work
from healthd.web import server
from healthd.web.starting import LateCalls
from healthd_gates.config.settings import Config

if TYPE_CHECKING:
    from healthd.app.gates import GatePart
    from healthd.app.rest import Rest

_log = structlog.get_logger(__name__)
_PATIENCE = 15.0  # seconds after which checks run although the rest is not loaded
_MOST_EARLY = 10_000  # transitions that are kept until the journal is loaded; of more, the oldest are lost to it


class LateParts:
    """The rest and the gates: None until they are loaded. `ready` is called once they are, or will not be."""

    def __init__(self, health: Health, tasks: Tasks, ready: Callable[[], None]) -> None:
        self._health, self._tasks, self._ready = health, tasks, ready
        self.rest: Rest | None = None
        self.gates: GatePart | None = None
        self.late_calls = LateCalls()
        self._early: deque[Transition] = deque(maxlen=_MOST_EARLY)
        self._settled = asyncio.Event()

    async def load(self, serving: server.HttpServer) -> None:
        """Load everything but health, and put it to work. What fails is told, and the others do without it."""
        hanging = asyncio.get_running_loop().call_later(_PATIENCE, self._go_on_without)
        try:
            with suppress(Exception):  # the schedule will tell
                await _import("healthd.monitoring.scheduler")
            await self.load_drivers()
            await _import("healthd.app.rest")
            works = self._build_rest().works()
            if self._health.settings.gates.enabled:
                works |= await self._load_gates()
            handler = await serving.prepare(self._application())
            self._tasks.begin(works)
            serving.answer_by(handler)
            self.late_calls.answer_by(handler)
        except Exception:
            self._failed()
            self.late_calls.fail()
            _log.exception("health is served alone, the rest of the daemon cannot be loaded")
        finally:
            hanging.cancel()
        self._settle()

    def assemble(self) -> web.Application:
        """Build all of it, and the application with every route and every metric; nothing of it runs yet. Needs a
        running event loop; call it once."""
        self._build_rest()
        if self._health.settings.gates.enabled:
            self._build_gates()
        return self._application()

    async def load_drivers(self) -> None:
        """Load what checks need and health does not, then tell notes. One that hangs holds nothing up for long."""
        loading = asyncio.create_task(self._health.suite.load_drivers(), name="drivers")
        loading.add_done_callback(self._drivers_loaded)
        await asyncio.wait({loading}, timeout=_PATIENCE)

    async def once_settled(self, work: Work) -> None:
        """Do a work that imports would slow down, or that would import something itself meanwhile."""
        await self._settled.wait()
        await work()

    def probed(self, name: str, probe: Probe) -> None:
        if self.rest is not None:
            self.rest.probed(name, probe)

    def changed(self, transition: Transition) -> None:
        if self.rest is not None:
            self.rest.changed(transition)
        else:
            self._early.append(transition)

    def arrange(self) -> None:
        """Apply the configuration in force, before its checks run."""
        if self.rest is not None:
            self.rest.page.arrange()
        if self.gates is not None:
            self.gates.gates.arrange()

    def arrange_checked(self, settings: Config) -> None:
        """Apply the configuration in force, once its checks run."""
        if self.rest is not None:
            self.rest.arrange(settings)

    def drain(self) -> None:
        """Accept no more gates."""
        if self.gates is not None:
            self.gates.drain()

    def release_callers(self) -> None:
        """Let those go who wait or follow, so that the server can stop."""
        self.late_calls.stop()
        self.drain()
        if self.rest is not None:
            self.rest.streams.stop()

    async def close_notifications(self) -> None:
        if self.rest is not None:
            if self.gates is not None:
                await close_part("last spans", self.gates.flush_spans)
            await asyncio.gather(
                close_part("notifications", self.rest.notifications.close),
                close_part("otlp", self.rest.exporter.close),
            )

    async def close_journal(self) -> None:
        if self.rest is not None:
            await self.rest.close(self.gates.gates.close if self.gates is not None else None)

    def _drivers_loaded(self, loading: asyncio.Task[None]) -> None:
        if loading.cancelled():
            return
        if (error := loading.exception()) is not None:  # a bug of ours
            self._failed()
            _log.error("not all drivers are loaded", exc_info=error)
        tell_notes(self._health.settings)

    async def _load_gates(self) -> dict[str, Work]:
        try:
            await _import("healthd.app.gates", lambda gates: gates.load())
            return {"gates": self._build_gates().gates.run}
        except Exception:
            self._failed()
            _log.exception("gates are not served, they cannot be loaded")
            return {}

    def _go_on_without(self) -> None:
        self._failed()
        _log.error("the rest of the daemon is still not loaded, checks run without it", seconds=_PATIENCE)
        self._settle()

    def _settle(self) -> None:
        if self._settled.is_set():
            return
        # Imported objects stay: looking for garbage among them stops the event loop for 0.1 s, for half a megabyte.
        gc.freeze()
        gc.enable()  # which `healthd run` has disabled
        self._ready()
        self._settled.set()

    def _build_rest(self) -> Rest:
        from healthd.app.rest import Rest

        self.rest = rest = Rest(self._health)
        while self._early:
            rest.changed(self._early.popleft())
        return rest

    def _build_gates(self) -> GatePart:
        from healthd.app.gates import GatePart

        assert self.rest is not None
        self.gates = gates = GatePart(self._health, self.rest)
        if self._health.board.draining:
            gates.drain()
        return gates

    def _application(self) -> web.Application:
        assert self.rest is not None
        health = self._health
        routes, unserved = self.rest.routes(), None
        if self.gates is not None:
            routes += self.gates.routes()
        elif health.settings.gates.enabled:
            (unserved := LateCalls()).fail()
        return server.build(health.endpoints, health.checks_api, health.metrics, routes, unserved)

    def _failed(self) -> None:
        self._health.metrics.task_failures.labels("start").inc()


def tell_notes(settings: Config) -> None:
    """Log what deserves attention in a configuration. Call it with the drivers loaded: of some addresses only they
    know."""
    for note in settings.notes:
        _log.warning(note)
    if (unreached := note_in_pod(settings.http.listen, os.environ)) is not None:
        _log.warning(unreached)


async def _import(module: str, then: Callable[[Any], None] = lambda _: None) -> None:
    """Import a module beside the event loop, and what it needs later. Raises whatever it raises."""
    try:
        await in_daemon_thread(lambda: then(import_module(module)), name=f"import {module}")
    except SystemExit as error:  # of somebody's package
        raise ImportError(f"{module} wants to end the process") from error
