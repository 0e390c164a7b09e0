"""Our own programs, forked from a process that has imported them (see `zygote`): tests start hundreds, and importing is
most of what a start costs. What is about the start itself starts them anew."""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.servers import zygote

_ROOT = Path(__file__).parents[2]
_READ_AT_THE_START = ("PYTHON", "LD_")  # by the interpreter, and by the loader


def possible(env: Mapping[str, str]) -> bool:
    """Whether a program that is forked finds what it would find in this environment if it were started anew."""
    return all(os.environ.get(name) == value for name, value in env.items() if name.startswith(_READ_AT_THE_START))


class Forked:
    """A running program; answers as `subprocess.Popen` does."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self.returncode: int | None = None
        self.pid = _read_number(pipe)

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._pipe, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            with suppress(EOFError):
                self.returncode = _read_number(self._pipe)
            if self.returncode is None:  # what the zygote forked ends with it
                self.returncode = -signal.SIGKILL
            os.close(self._pipe)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def launch(
    argv: Sequence[str], stdout: IO[bytes], stderr: IO[bytes], env: Mapping[str, str], cwd: Path | None = None
) -> Forked:
    """Start `healthd` or `healthd-deploy` with the words that follow. Waits until the zygote is ready."""
    ours, theirs = os.pipe()
    try:
        request = {"argv": list(argv), "env": dict(env), "cwd": str(cwd or Path.cwd())}
        socket.send_fds(begun(), [json.dumps(request).encode()], [stdout.fileno(), stderr.fileno(), theirs])
    finally:
        os.close(theirs)
    return Forked(ours)


@functools.cache
def begun() -> socket.socket:
    """The zygote of these tests, started by the first call: in the main thread, since it ends with its caller's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        argv = [sys.executable, "-m", zygote.__name__, str(theirs.fileno())]
        subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *argv],
            stdin=subprocess.DEVNULL,
            cwd=_ROOT,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours


def _read_number(pipe: int) -> int:
    data = os.read(pipe, zygote.NUMBER.size)
    if not data:
        raise EOFError("the zygote has ended")
    (number,) = zygote.NUMBER.unpack(data)
    return int(number)
