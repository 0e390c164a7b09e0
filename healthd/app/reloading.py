"""Reload of the configuration: the file is read again, and what it says is put in force in every part."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from traceback import format_tb
from typing import Literal

import structlog

from healthd.app.health import Health, explicit
from healthd.app.late_parts import LateParts
from healthd.app.reporting import Reporting
from healthd.app.taken_away import Removals
from healthd.config.file import ConfigError
from healthd.config.in_force import NotInForce
from healthd.config.places import Problem
from healthd.config.rereading import changed, read_again
from healthd.config.written_files import WrittenFiles
from healthd.http.outgoing import put_in_force
from healthd.runtime.events import set_within
from healthd_gates.config.settings import Config

_log = structlog.get_logger(__name__)
_MOST_TOLD = 20  # problems in an answer; the log has all
_LOOKS_AFTER = 1.0, 2.0, 3.0, 4.0  # seconds between looks after a reload


class Reloading:
    """Configuration in force in every part of the daemon, replaced as a whole by a valid one."""

    def __init__(self, config_file: Path | None, health: Health, parts: LateParts, reporting: Reporting) -> None:
        self._config_file, self._health, self._parts, self._reporting = config_file, health, parts, reporting
        self._files = WrittenFiles(config_file, Config, os.environ)
        self._removals = Removals()
        health.endpoints.taken_away = lambda: self._removals.told(health.clock.now())

    async def reload(self) -> None:
        """Read the file again. An invalid one is refused as a whole, and the daemon goes on with the old
        configuration. As at the start, what only a driver can judge makes its check misconfigured, and no more. A fault
        of our own is logged and counted."""
        try:
            await self._reload()
        except Exception:  # a bug of ours: the daemon survives it, and a metric counts it
            self._refused(["healthd failed with an internal error, which the log has: it is in force in part at most"])
            _log.exception("configuration reload failed, new configuration only partly in force")

    async def follow(self, asked: asyncio.Event) -> None:
        """Read the files anew where they are written after a reload, for 10 s: half of one may have been taken, or
        refused. Ends at once where the next reload is `asked` for."""
        for pause in _LOOKS_AFTER:
            if await set_within(pause, asked):
                return
            if await self._changed():
                _log.warning("configuration was written after it was read, reading it once more")
                await self.reload()

    async def _changed(self) -> bool:
        try:
            return await changed(self._files)
        except ConfigError:  # a file system does not answer
            return False
        except Exception:  # a bug of ours: the daemon survives it, and what was read stays in force
            _log.exception("configuration not looked at after a reload")
            return False

    async def _reload(self) -> None:
        _log.info("reading configuration", file=str(self._config_file) if self._config_file else None)
        try:
            settings = await read_again(self._files)
        except ConfigError as error:
            self._refused(problems := [str(self._redacted(problem)) for problem in error.problems])
            # Where an unexpected error was raised, and not its text, which may quote a secret that is not in force.
            fault = {"fault": "".join(format_tb(error.__cause__.__traceback__))} if error.__cause__ else {}
            _log.error("configuration refused, previous configuration stays in force", problems=problems, **fault)
            return
        await self.take(settings)

    async def take(self, settings: Config) -> None:
        """Put a configuration in force; options that need a restart are named in the log."""
        health, before = self._health, self._health.settings
        health.redact.learn_from(settings)
        gone = health.settings.active_checks.keys() - settings.active_checks.keys()
        waiting = [f"{option} changes only with a restart" for option in health.in_force.replace(explicit(settings))]
        for each in waiting:
            _log.warning(each)
        settings = health.settings
        put_in_force(settings.outgoing.way)
        self._reporting.arrange()
        self._parts.arrange()
        await health.suite.arrange(settings)
        for name in gone:
            health.metrics.forget_check(name)
        self._parts.arrange_checked(settings)
        self.loaded()
        self._tell("restart", waiting)
        away = self._removals.note(before, settings, health.clock.now())
        await self._parts.load_drivers()
        _log.info("configuration loaded", checks=list(settings.active_checks))
        if away:
            _log.warning("configuration has no longer what it had", **away)

    def _refused(self, problems: Sequence[str]) -> None:
        self._health.metrics.reload_ok.set(0)
        self._tell("refused", problems)

    def _redacted(self, problem: Problem) -> Problem:
        """Return a problem in the words of `healthd config check`, without the secrets in force: those of the file were
        masked as it was read."""
        redact = self._health.redact
        key = ".".join(redact.name(step) for step in problem.key.split("."))
        return replace(problem, key=key, message=redact.own(problem.message))

    def _tell(self, status: Literal["refused", "restart"], problems: Sequence[str]) -> None:
        """Show in `/health` what of the file is not in force, if anything."""
        health = self._health
        before, now = health.endpoints.not_in_force, health.clock.now()
        since = before.since if before is not None and before.status == status else now
        said = tuple(problems[:_MOST_TOLD])
        health.endpoints.not_in_force = NotInForce(status, since, said) if said else None

    def loaded(self) -> None:
        """Show the configuration in force in the metrics, and tell what deserves attention in it."""
        metrics, settings = self._health.metrics, self._health.settings
        metrics.identify(settings.version, settings.environment)
        metrics.reload_ok.set(1)
        metrics.reload_at.set(self._health.clock.now().timestamp())
        if settings.gates.enabled and not settings.auth.grants:
            _log.warning("no token is configured: nobody may ask a gate; `healthd token new` makes one")
