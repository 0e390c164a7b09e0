"""Wait until NGINX has taken a reload: `nginx -s reload` returns as soon as the master process has its signal.

The master reads the configuration, starts new workers, and only then asks the old ones to shut down gracefully; until
they are asked, they take connections as before. If it cannot apply the configuration, it keeps the old workers.
Source: "Controlling nginx" at nginx.org/en/docs/control.html; a worker that takes no connections any more has the title
"worker process is shutting down".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.core.steps import wait_until

_LEAST, _TIMES = 10.0, 10.0  # seconds for a reload, or times what NGINX needs to read its configuration
_EVERY = 0.02  # seconds between two looks at the processes
_ACCEPTS = re.compile(r"\S+: worker process$")


class NotTaken(NothingSwitched):
    """NGINX keeps its old workers: it serves as it did before the reload."""


def patience(took: float, timeout: float) -> float:
    """Return the seconds to wait for a reload, where the test of the configuration `took` so many."""
    return min(timeout, max(_LEAST, _TIMES * took))


def unseen(pid_file: Path) -> str | None:
    """Return what is not known where no NGINX is seen by its file, None where one is."""
    if workers(pid_file) is not None:
        return None
    return f"upstream.pid, {pid_file}, leads to no NGINX that can be seen: whether it takes a reload will not be known"


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers of one master process that take connections, by process id, with the clock ticks since boot at which each
    started: psutil's time of a process moves with the wall clock."""

    master: int
    started: Mapping[int, int]


def workers(pid_file: Path) -> Workers | None:
    """Return the workers of the NGINX whose `pid` directive names the file, None where this process cannot see any: in
    another container, on another host, or without a master process."""
    with suppress(OSError, ValueError, psutil.Error):
        master = psutil.Process(int(pid_file.read_text(encoding="ascii")))
        started = {}
        for child in master.children():
            with suppress(OSError, psutil.Error):  # it has ended meanwhile
                if _ACCEPTS.match(" ".join(child.cmdline()).strip()):
                    started[child.pid] = _ticks(child.pid)
        return Workers(master.pid, started) if started else None
    return None


def _ticks(pid: int) -> int:
    """Return the start of a process: field 22 of proc(5)'s `stat`, behind a name that may contain anything."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])


async def until_reloaded(
    pid_file: Path, before: Workers | None, *, within: float, errors: str = "its error log"
) -> None:
    """Wait until none of the workers of `before` takes connections, and others do; return at once without `before`.
    After `within` seconds the old ones that are left hang, if there are new ones; else this raises NotTaken, which says
    where NGINX's `errors` are."""
    if before is None:
        return

    async def replaced() -> bool:
        now = workers(pid_file)
        return now is not None and not (now.started.items() & before.started.items())

    try:
        await wait_until(replaced, within=within, every=_EVERY, what="NGINX")
    except StepFailed:
        now = workers(pid_file)
        if now is not None and now.started.items() - before.started.items():
            return
        kept = f"NGINX (process {before.master} of {pid_file}) has its old workers {within:g} s after the reload"
        why = f"it has not taken the configuration, and {errors} says why"
        raise NotTaken(f"{kept}: {why}, or upstream.pid names another NGINX than the one that was reloaded") from None
