"""Configuration file that the running NGINX was started with: the title of its master process has its command line.

A reload makes NGINX read that file again, whatever other file the reload command names. Source: ngx_process_options and
ngx_conf_full_name in nginx's src/core, and nginx.org/en/docs/switches.html.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed

_TITLE = re.compile(r"nginx: master process (?P<words>.+)", re.DOTALL)
_WORKER = re.compile(r"nginx: worker process\s*$")  # not one that is shutting down, which ends by itself
_BUILT_WITH = re.compile(r"--(prefix|conf-path)=(\S+)")
_WITH_VALUE = "cegps"  # the options that have a value, in the same word or the next one
_VERSION = ("sh", "-c", 'exec "$@" 2>&1', "sh")  # NGINX prints it as an error


@dataclass(frozen=True, slots=True)
class Master:
    """Master process: the words of its command line, without the program, and the folder in which it was started."""

    words: Sequence[str]
    folder: Path

    @classmethod
    def of(cls, pid: int) -> Master | None:
        """Return the master process with this id, None where it cannot be seen, or is none."""
        with suppress(OSError, psutil.Error):
            process = psutil.Process(pid)
            if title := _TITLE.match(" ".join(process.cmdline()).strip()):
                return cls(title["words"].split()[1:], Path(process.cwd()))
        return None

    def file(self, built_with: Mapping[str, str]) -> Path | None:
        """Return the configuration file that it reads, None where that is not known, or no file that is here."""
        options = options_of(self.words)
        name = options.get("c") or built_with.get("conf-path")
        prefix = options.get("p") or built_with.get("prefix")
        if name is None or (prefix is None and not Path(name).is_absolute()):
            return None
        file = self.folder / (prefix or "") / name
        with suppress(OSError):  # of a folder that is another user's
            return file if file.is_file() else None  # a title may be cut short, and a container has files of its own
        return None


def is_over(pid: int) -> bool:
    """True if no process has this id, or one that has ended and was not waited for, as in a container without an
    init."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (OSError, psutil.Error):
        return False


def orphans(master: int) -> list[int]:
    """Return the workers that a master process left behind, such as one that was killed: they take connections, with
    the configuration that they had, and hold the port. They are known by its session or group of processes, which is
    its own where it is a daemon or under a supervisor."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if master in (os.getsid(process.pid), os.getpgid(process.pid)) and _WORKER.match(
                " ".join(process.cmdline())
            ):
                found.append(process.pid)
    return found


def options_of(words: Sequence[str]) -> dict[str, str]:
    """Return the options with a value as NGINX reads them. A word that is no option belongs to the value before it: a
    title does not tell where a word ends."""
    found: dict[str, str] = {}
    last = None
    for word in words:
        if not word.startswith("-"):
            if last is not None:
                found[last] = f"{found[last]} {word}".strip()
            continue
        last = next((letter for letter in word[1:] if letter in _WITH_VALUE), None)
        if last is not None:
            found[last] = word[word.index(last) + 1 :]
    return found


async def built_with(nginx: Sequence[str], within: float) -> dict[str, str]:
    """Return the paths that this NGINX was built with, by the options of its `configure`, as far as it tells."""
    with suppress(StepFailed):
        return dict(_BUILT_WITH.findall(await program.run([*_VERSION, *nginx, "-V"], within=within)))
    return {}
