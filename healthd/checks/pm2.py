"""Application under PM2: how many of its processes are online, and whether they stay so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.failures import classify
from healthd.checks.pm2_list import listed
from healthd.checks.pm2_state import Pm2Config, judge, processes_of, unstable
from healthd.checks.program_run import NotRunError, ProgramRun
from healthd.checks.restarts import Restarts
from healthd.model import FailureKind, Result
from healthd.runtime.program import PATH

_LONGEST = 4 * 1024**2  # bytes of the list, in which each process has its whole environment


class Pm2:
    """Looks whether PM2 listens, which `pm2 jlist` would start otherwise, and reads its list. Of what the list says of
    a process, its environment is not looked at."""

    config_model: ClassVar[type[CheckConfig]] = Pm2Config

    def __init__(self, config: Pm2Config, context: CheckContext) -> None:
        self._config, self._clock, environ = config, context.clock, context.environ
        home = Path(environ.get("HOME") or "/")
        self._home = config.home or Path(environ.get("PM2_HOME") or home / ".pm2")
        beside = f"{Path(config.program).parent}:" if "/" in config.program else ""
        self._environment = {
            "PATH": f"{beside}{PATH}",
            "HOME": str(home),
            "PM2_HOME": str(self._home),
            "NODE_OPTIONS": "--jitless",  # else Node.js dies where no memory may be both written and executed
        }
        self._restarts = Restarts(config.window)
        self._run = ProgramRun([config.program, "jlist", "--silent"], patience=config.patience, keep=_LONGEST)

    async def probe(self) -> Result:
        if (nobody := await self._nobody_listens()) is not None:
            return nobody
        try:
            code, output = await self._run.to_the_end(self._environment)
        except NotRunError as error:
            return error.result
        if code != 0:
            said = next((line for line in output.splitlines() if line.startswith("[PM2]")), "without a word")
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"`pm2 jlist` ended with code {code}: {said}")
        try:
            every = listed(output)
            names = [str(each["name"]) for each in every]
            processes = processes_of(self._config.app, every)
        except (ValueError, KeyError, TypeError, AttributeError):
            cut = " of less than 4 MiB" if len(output) >= _LONGEST - 1024 else ""
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"`pm2 jlist` printed no list of processes{cut}")
        now = self._clock.now().timestamp()
        known = unstable(processes, now - self._config.window)
        restarts = self._restarts.count({each.id: each.restarts for each in processes}, now, known)
        return judge(processes, restarts, self._config, names)

    async def close(self) -> None:
        """Kill what still runs."""
        self._run.kill()

    async def _nobody_listens(self) -> Result | None:
        """Return why PM2 cannot be asked; None if it listens."""
        socket = self._home / "rpc.sock"
        try:
            async with asyncio.timeout(self._config.patience):
                _, writer = await asyncio.open_unix_connection(socket)
        except TimeoutError:
            return Result.unhealthy(FailureKind.TIMEOUT, f"PM2 accepts no connection at {socket}")
        except PermissionError:
            return Result.unhealthy(
                FailureKind.PERMISSION, f"this user may not use {socket}: run healthd as PM2's user"
            )
        except FileNotFoundError:
            return Result.unhealthy(FailureKind.CONNECT, f"PM2 does not run: there is no {socket}")
        except ConnectionRefusedError:
            return Result.unhealthy(FailureKind.CONNECT, f"PM2 does not run: nobody listens at {socket}")
        except OSError as error:
            return Result.unhealthy(classify(error), f"PM2 cannot be reached at {socket}: {error.strerror or error}")
        writer.transport.abort()
        return None
