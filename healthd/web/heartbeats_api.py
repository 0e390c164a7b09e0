"""`/ping/KEY`, for jobs without a token, as healthchecks.io answers it; and `POST /heartbeats/{name}` with one."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

import aiohttp
from aiohttp import web

from healthd.checks.contract import CheckConfig
from healthd.checks.heartbeat import HeartbeatConfig
from healthd.checks.heartbeat_record import Report, Signal
from healthd.config.in_force import Current
from healthd.config.settings import Settings
from healthd.monitoring.board import Board
from healthd.monitoring.heartbeats import Heartbeats
from healthd.monitoring.suite import Suite
from healthd.nearest import did_you_mean
from healthd.runtime.clock import Clock
from healthd.web.auth import Guard
from healthd.web.checks_api import probed, refuse_beyond_reach
from healthd.web.problems import Problem, answering_problems
from healthd.web.refusals import Reason

KEPT = 10_000  # characters of a log, its last
_BEFORE = 4096  # characters before these: a secret that begins there is found whole
_MOST_READ = 1024 * 1024  # bytes of a log that are read at all
_PATIENCE = 5.0  # seconds for which a log may take to arrive
_LINES, _LINE = 20, 200  # of the log that is kept, and its characters
_RUN = re.compile(r"[0-9A-Za-z-]{1,64}")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SIGNALS = {"": Signal.SUCCESS, "start": Signal.START, "fail": Signal.FAILURE, "log": Signal.LOG}
_FORM = "write /start, /fail, /log, or an exit code from 0 to 255 behind the key, and nothing for success."


class HeartbeatsApi:
    """Calls of jobs that report in."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        suite: Suite,
        board: Board,
        guard: Guard,
        settings: Current[Settings],
        clock: Clock,
        redact: Callable[[str], str],
    ) -> None:
        self._heartbeats, self._suite, self._board, self._guard = heartbeats, suite, board, guard
        self._settings, self._clock, self._redact = settings, clock, redact
        self._keys: Mapping[str, str] = {}
        self._keys_of = -1

    def routes(self) -> list[web.RouteDef]:
        ping, beat = answering_problems(self._ping), answering_problems(self._beat)
        return [
            web.get("/ping/{key}", ping),
            web.post("/ping/{key}", ping),
            web.get("/ping/{key}/{signal}", ping),
            web.post("/ping/{key}/{signal}", ping),
            web.post("/heartbeats/{name}", beat),
            web.post("/heartbeats/{name}/{signal}", beat),
        ]

    async def _ping(self, request: web.Request) -> web.Response:
        """Record a report from whoever knows the key of a check."""
        name = self._named().get(_mark(request.match_info["key"]))
        if name is None:
            self._guard.refused(Reason.UNKNOWN_TOKEN, request)
            raise Problem(404, "Not found", "no heartbeat has this key; it stands in the check's option key")
        await self._record(request, name)
        with suppress(LookupError):  # it was removed meanwhile
            await self._suite.probe(name)
        return web.Response(text="OK", headers={"Cache-Control": "no-store", "Ping-Body-Limit": str(KEPT)})

    async def _beat(self, request: web.Request) -> web.Response:
        """Record a report from a caller with a token, and answer with the check after it."""
        await self._guard.prepare(request)
        caller = self._guard.require(request, "heartbeats:write")
        name = request.match_info["name"]
        known = {state.name for state in self._board.checks() if isinstance(state.config, HeartbeatConfig)}
        if name not in known:
            raise Problem(404, "No such heartbeat", f"heartbeats are: {', '.join(sorted(known)) or 'none'}")
        refuse_beyond_reach(self._board, caller, name)
        await self._record(request, name)
        return await probed(self._suite, self._board, name)

    async def _record(self, request: web.Request, name: str) -> None:
        """Count the report of a request. Raises Problem."""
        signal, exit_code = _signal(request.match_info.get("signal", ""))
        run = request.query.get("rid")
        if len(request.query.getall("rid", ())) > 1:
            raise Problem(400, "Invalid rid", "rid is given more than once")
        if run is not None and not _RUN.fullmatch(run):
            said = "rid must be 1 to 64 letters, digits and hyphens, such as a UUID"
            raise Problem(400, "Invalid rid", said + " (it is empty: is a variable unset?)" * (not run))
        at = self._clock.now()
        log = _lines(self._redact(_TERMINAL.sub("", await _tail(request)))[-KEPT:])
        await self._heartbeats.add(Report(name, signal, at, run or "", exit_code, log))

    def _named(self) -> Mapping[str, str]:
        """Return the names of checks by the marks of their keys: to look one up takes as long for a wrong key."""
        if self._keys_of != self._settings.revision:
            self._keys = {_mark(key): name for name, key in keys_of(self._settings.now.active_checks).items()}
            self._keys_of = self._settings.revision
        return self._keys


def keys_of(checks: Mapping[str, CheckConfig]) -> dict[str, str]:
    """Return the keys of heartbeats by the names of their checks."""
    return {
        name: check.key.get_secret_value()
        for name, check in checks.items()
        if isinstance(check, HeartbeatConfig) and check.key is not None
    }


def _mark(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _signal(text: str) -> tuple[Signal, int | None]:
    """Return the signal at the end of a path, and the exit code. Raises Problem."""
    if text in _SIGNALS:
        return _SIGNALS[text], None
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return (Signal.SUCCESS if int(text) == 0 else Signal.FAILURE), int(text)
    raise Problem(400, "Invalid signal", f"{_FORM}{did_you_mean(text[:20], [each for each in _SIGNALS if each])}")


async def _tail(request: web.Request) -> str:
    """Return the end of the body. A job that reports counts even if its log is too long, too slow or breaks off."""
    kept, read = b"", 0
    with suppress(TimeoutError, ConnectionError, aiohttp.ClientPayloadError, web.RequestPayloadError):
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.content.iter_any():
                kept, read = (kept + chunk)[-KEPT - _BEFORE :], read + len(chunk)
                if read > _MOST_READ:
                    break
    return kept.decode(errors="replace").replace("\r", "\n")


def _lines(text: str) -> tuple[str, ...]:
    """Return the last lines with something in them."""
    lines = (line.rstrip() for line in text.split("\n"))
    return tuple(line if len(line) <= _LINE else line[:_LINE] + "…" for line in lines if line.strip())[-_LINES:]
