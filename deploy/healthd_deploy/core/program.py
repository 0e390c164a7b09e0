"""A program that a deploy runs: an argument list, no shell, an end to its whole process group."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from healthd_deploy.core.exit import StepFailed

_PAGE = 4096
_LINES = 5  # of output, its end, that are told when it fails


class ProgramTimedOut(StepFailed):
    """It was ended: whether it did anything is not known."""


async def run(
    argv: Sequence[str],
    *,
    within: float,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    given: bytes = b"",
) -> str:
    """What it wrote to standard output. Raises StepFailed when it cannot start, fails, or is not done `within` seconds.

    `env` is added to the tool's own environment; None takes a variable away. `given` is its standard input, of a page
    at most. When the tool is interrupted the program is ended too.
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
        raise StepFailed(f"{argv[0]} cannot be run: {error.strerror}") from None
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
    """A pipe that holds it already: a program can open its standard input by name, as it could not with a socket."""
    if len(given) > _PAGE:
        raise ValueError(f"more than {_PAGE} bytes would fill the pipe")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin:
        with os.fdopen(writing, "wb") as filling:
            filling.write(given)
        yield stdin


async def _end(process: asyncio.subprocess.Process) -> None:
    """Nothing of its process group stays behind a program that was not done."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _last_lines(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-_LINES:]) or "it said nothing"
