"""Run a program for a deploy: an argument list, no shell, an end to its whole process group."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from healthd_deploy.core.exit import NoProgram, StepFailed

_PAGE = 4096
_LINES = 5  # last lines of output that are shown when it fails


class ProgramTimedOut(StepFailed):
    """The program was killed at its timeout: its effect is unknown."""


def find(name: str) -> None:
    """Raise NoProgram if there is no such program that this user may run."""
    if shutil.which(name) is not None:
        return
    if "/" not in name:
        raise NoProgram(f"there is no program {name} in {os.environ.get('PATH', 'an empty PATH')}")
    is_there = "may not be run by this user" if Path(name).exists() else "is not there"
    raise NoProgram(f"the program {name} {is_there}")


async def run(
    argv: Sequence[str],
    *,
    within: float,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    given: bytes = b"",
) -> str:
    """Return the standard output of a program. Raises StepFailed when it fails, or exceeds `within` seconds, and
    NoProgram when it cannot start.

    `env` is added to the tool's own environment; None removes a variable. `given` is its standard input, of at most a
    page. When the tool is interrupted the program is killed too.
    """
    try:
        with _reading(given) as stdin:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(env or {}),
                cwd=cwd,
                start_new_session=True,
            )
    except OSError as error:
        raise NoProgram(f"{argv[0]} cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate()
    except TimeoutError:
        raise ProgramTimedOut(f"{argv[0]} was not done within {within:g} s") from None
    finally:
        await _end(process)
    if process.returncode:
        raise StepFailed(f"{argv[0]} ended with {process.returncode}: {_last_lines(err or out)}")
    return out.decode(errors="replace")


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**os.environ, **changes}.items() if value is not None}


@contextmanager
def _reading(given: bytes) -> Iterator[IO[bytes]]:
    """Open a pipe that contains the input already: a program can open its standard input by name, as it could not with
    a socket."""
    if len(given) > _PAGE:
        raise ValueError(f"more than {_PAGE} bytes would fill the pipe")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin:
        with os.fdopen(writing, "wb") as filling:
            filling.write(given)
        yield stdin


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the whole process group of a program that has not finished."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_lines(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-_LINES:]) or "it said nothing"
