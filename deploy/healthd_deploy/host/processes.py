"""Application under PM2: reload it, and check its health. The link `current` selects the release that it runs from."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import OK
from pathlib import Path
from typing import Any

import aiohttp

from healthd.checks.pm2_list import listed
from healthd.checks.unreachable import brief
from healthd.http.session import connector
from healthd.runtime.lookups import noting, remark, unresolved
from healthd.units import show_duration
from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host.settings import Health, Pm2

_LOOK_EVERY = 0.5  # seconds between two looks whether PM2's daemon runs
_BUSY = "already in progress"  # PM2's message during another reload, or with a killed one's lock


def application_environment() -> dict[str, str | None]:
    """Return the changes to the environment: the deploy tool's own variables are removed for the application and its
    packages, as they may hold a token."""
    return {name: None for name in os.environ if name.startswith("HEALTHD_")}


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of the application. `release` is the folder that it runs from, None when it is gone; `errors` the
    file with what it wrote as errors."""

    status: str
    mode: str
    release: Path | None
    errors: str = ""


class Processes:
    """PM2, called by its command."""

    def __init__(self, pm2: Pm2, health: Health) -> None:
        self._pm2, self._health = pm2, health

    async def reload(self) -> None:
        """Start new instances that replace the old ones; the first time, start the application. Waits for a reload in
        progress."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._pm2.timeout
        words = ("startOrReload", str(self._pm2.ecosystem), "--only", self._pm2.app)
        while True:
            try:
                await self._with_its_daemon(*words)
                return
            except StepFailed as failure:
                if _BUSY not in str(failure) or loop.time() > deadline:
                    raise
            await asyncio.sleep(1)

    async def remove(self) -> None:
        """Stop the application and remove it from PM2."""
        if await self.instances():
            await self._run("delete", self._pm2.app)

    async def remembered(self) -> None:
        """Save the processes, so that PM2 starts them after a restart of the host."""
        await self._run("save")

    async def instances(self) -> list[Instance]:
        """Return PM2's processes of the application."""
        said = await self._run("jlist")
        try:
            return [_instance(one) for one in listed(said) if one["name"] == self._pm2.app]
        except ValueError:
            raise StepFailed(f"`{self._pm2.program} jlist` gave no list of processes") from None

    async def healthy(self, release: Path) -> None:
        """Wait until all instances run from that release, and it answers. Raises StepFailed with the last error."""
        health, wrong = self._health, ""
        for look in range(health.times):
            if look:
                await asyncio.sleep(health.interval)
            if not (wrong := await self._wrong(release)):
                return
        span = show_duration(health.interval)
        raise StepFailed(f"not healthy at the last of {health.times} looks, {span} apart: {wrong}")

    async def _wrong(self, release: Path) -> str:
        """Return what is wrong in one sentence, empty when it is healthy."""
        instances = await self.instances()
        if not instances:
            return f"PM2 knows no {self._pm2.app}"
        if down := [one.status for one in instances if one.status != "online"]:
            logs = ", ".join(sorted({one.errors for one in instances if one.errors and one.status != "online"}))
            why = f"; {logs} may say why" if logs else ""
            return f"{len(down)} of {len(instances)} instances are {', '.join(sorted(set(down)))}{why}"
        if elsewhere := [one for one in instances if one.release != release.resolve()]:
            return f"{len(elsewhere)} of {len(instances)} instances do not run from {release} (`cwd` must be current)"
        return await self._answer()

    async def lost(self) -> str | None:
        """Return what shows that nothing serves: the address of health does not answer, and no instance is online; None
        while one may serve."""
        if not (wrong := await self._answer()) or any(one.status == "online" for one in await self.instances()):
            return None
        return f"no instance of {self._pm2.app} is online, and {wrong}"

    async def refuse_another(self) -> None:
        """Raise StepFailed where the application serves, and this PM2 does not know it: new instances would begin
        beside those that run, and fail at their port."""
        may_know = _daemon() is not None or not self._is_pm2_itself  # whose command would begin a daemon
        if await self._answer() or (may_know and await self.instances()):
            return
        asked = f"the PM2 of this user in {_home()}" if self._is_pm2_itself else self._pm2.program
        raise StepFailed(
            f"{asked} knows no {self._pm2.app}, and yet {self._health.url} answers: it runs "
            "under another user or PM2_HOME, or outside PM2. Nothing was changed: run this as that user, with its "
            "PM2_HOME (an action: pass_env), or end what runs"
        )

    @property
    def _is_pm2_itself(self) -> bool:
        """False of a program in front of PM2, which may give it another home or user."""
        found = shutil.which(self._pm2.program)
        return found is None or Path(found).resolve().parts[-3:] == ("pm2", "bin", "pm2")

    async def _answer(self) -> str:
        url, limit = self._health.url, aiohttp.ClientTimeout(self._health.timeout)
        with noting():
            try:
                async with (
                    aiohttp.ClientSession(connector=connector(), timeout=limit) as session,
                    session.get(url, allow_redirects=False) as answer,
                ):
                    return "" if answer.status == OK else f"{url} answers {answer.status}"
            except TimeoutError:
                late = f"{url} does not answer within {show_duration(self._health.timeout)}{remark()}"
                return str(unresolved() or late)
            except (aiohttp.ClientError, OSError) as error:
                return f"{url} does not answer: {brief(error, url)}"

    async def _with_its_daemon(self, *words: str) -> None:
        """Run a command of PM2, and no longer than its daemon lives: the command would wait for it for ever."""
        running, ended = asyncio.ensure_future(self._run(*words)), asyncio.ensure_future(_daemon_ended())
        try:
            await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
                return
            pid = ended.result()
        finally:
            for each in (running, ended):
                each.cancel()
            await asyncio.gather(running, ended, return_exceptions=True)
        raise StepFailed(f"PM2's daemon (process {pid}) has ended meanwhile, and the application with it: it is down")

    async def _run(self, *words: str) -> str:
        argv = (self._pm2.program, *words)
        return await program.run(argv, within=self._pm2.timeout, env=application_environment())


async def _daemon_ended() -> int:
    """Return the process id of PM2's daemon once one that was seen to run does no more."""
    seen = None
    while True:
        pid = _daemon()
        if pid is None and seen is not None:
            return seen
        seen = pid
        await asyncio.sleep(_LOOK_EVERY)


def _daemon() -> int | None:
    """Return the process id of PM2's daemon, None where none of this user's runs."""
    try:
        pid = int((_home() / "pm2.pid").read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, RuntimeError):
        return None
    return None if state == "Z" else pid


def _home() -> Path:
    return Path(os.environ.get("PM2_HOME") or Path.home() / ".pm2")


def _instance(found: Mapping[str, Any]) -> Instance:
    pm2_env = found["pm2_env"]
    try:
        release = Path(f"/proc/{found['pid']}/cwd").readlink()
    except OSError:
        release = None
    return Instance(pm2_env["status"], pm2_env["exec_mode"], release, pm2_env.get("pm_err_log_path", ""))
