"""Finder in PM2: what it runs, and the check of each application, tried."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthd.checks.contract import CheckContext
from healthd.checks.pm2 import Pm2
from healthd.checks.pm2_list import listed
from healthd.checks.pm2_state import Pm2Config
from healthd.model import FailureKind
from healthd.runtime.clock import SystemClock
from healthd.runtime.program import PATH

_WITHIN = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Pm2App:
    """An application that PM2 keeps running, and the port that its environment names; None if it names none."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Pm2Tried:
    """Options of a check of an application's processes, and what it said when it was tried."""

    options: Mapping[str, Any]
    said: str


def pm2_apps(environ: Mapping[str, str], run: Callable[[Sequence[str]], str] | None = None) -> list[Pm2App]:
    """Return what PM2 runs. Asks only a PM2 that is there already: the question itself would start one."""
    try:
        (_home(environ) / "pm2.pid").stat()
        return parsed_pm2((run or _run)(("pm2", "jlist", "--silent")))
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("PM2_HOME") or Path(environ.get("HOME", "/")) / ".pm2").absolute()


def _run(argv: Sequence[str]) -> str:
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=_WITHIN, check=True, env=os.environ, stdin=subprocess.DEVNULL
    ).stdout


def parsed_pm2(text: str) -> list[Pm2App]:
    """Parse the output of `pm2 jlist`, before which PM2 may print other lines. Raises ValueError."""
    apps = dict[tuple[str, int | None], Pm2App]()
    for each in listed(text):
        own: dict[str, Any] = each.get("pm2_env") or {}
        inner: dict[str, Any] = own.get("env") or {}
        port = str(own.get("PORT") or inner.get("PORT") or "")
        if own.get("status") == "online" and (name := str(each.get("name", ""))):
            is_port = port.isdecimal() and 0 < int(port) < 65536
            app = Pm2App(name, int(port) if is_port else None)
            apps[app.name, app.port] = app
    return list(apps.values())


async def tried_pm2(names: Iterable[str], environ: Mapping[str, str], left_out: list[str]) -> Mapping[str, Pm2Tried]:
    """Return the check of each application by its name, as one look of the check itself found it. It has a short PATH,
    unlike a shell: what it cannot ask is left out, with what it said."""
    found = dict[str, Pm2Tried]()
    where = {"home": str(_home(environ)), **_program(environ)}
    for name in names:
        options = {"kind": "pm2", "app": name, **where}
        check = Pm2(Pm2Config.model_validate(options), CheckContext(name, SystemClock(), environ))
        try:
            result = await check.probe()
        finally:
            await check.close()
        if result.kind not in (None, FailureKind.THRESHOLD):
            left_out.append(f"check of PM2's {name}: {result.message}")
            continue
        online = result.observed.get("online")
        several = {"instances": online} if isinstance(online, int) and online > 1 else {}
        found[name] = Pm2Tried({**options, **several}, f"tried, {result.message}")
    return found


def _program(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the option `program` for a PM2 that the check would not find by name."""
    program = shutil.which("pm2", path=environ.get("PATH"))
    return {} if program is None or shutil.which("pm2", path=PATH) == program else {"program": program}
