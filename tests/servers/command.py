"""Our commands, run as their users run them, which are never to show a traceback: forked (see `forked`); a test of what
is installed takes `INSTALLED`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from tests.servers import forked

INSTALLED = Path(sys.executable).with_name("healthd")
_POLL = 0.02
_OWN_VARIABLES = ("HEALTHD_", "_HEALTHD_")


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def healthd(*words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Outcome:
    """Run `healthd WORDS` to its end, with none of the caller's own HEALTHD_ variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    done = subprocess.run(
        [forked.program("healthd"), *map(str, words)],
        env={**own, "COLUMNS": "120", **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


class Running:
    """A forked command; answers as `asyncio.subprocess.Process` does, with both outputs read by the test."""

    def __init__(self, process: forked.Forked, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self._process, self.stdout, self.stderr = process, stdout, stderr

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        while (code := self._process.poll()) is None:
            await asyncio.sleep(_POLL)
        return code

    async def communicate(self) -> tuple[bytes, bytes]:
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err


async def started(program: str, *words: str, env: Mapping[str, str] | None = None) -> Running:
    """Start `healthd` or `healthd-deploy`."""
    forked.begun()
    (out, stdout), (err, stderr) = await _piped(), await _piped()
    with stdout, stderr:
        everything = os.environ if env is None else env
        process = await asyncio.to_thread(forked.launch, [program, *words], stdout, stderr, everything)
    return Running(process, out, err)


async def _piped() -> tuple[asyncio.StreamReader, IO[bytes]]:
    """What reads a pipe, and what writes it."""
    readable, writable = os.pipe()
    reader = asyncio.StreamReader()
    connected = partial(asyncio.StreamReaderProtocol, reader)
    await asyncio.get_running_loop().connect_read_pipe(connected, os.fdopen(readable, "rb"))
    return reader, os.fdopen(writable, "wb")
