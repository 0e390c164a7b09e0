"""Our own programs, forked from a process that has imported them (see `zygote`): tests start hundreds, and importing is
most of what a start costs. What is about the start itself starts them anew."""

from __future__ import annotations

import atexit
import functools
import inspect
import marshal
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.servers import forked_command, zygote
from tests.servers.forked_command import READ_AT_THE_START

_ROOT = Path(__file__).parents[2]


def possible(env: Mapping[str, str]) -> bool:
    """Whether a program that is forked finds what it would find in this environment if it were started anew."""
    return all(os.environ.get(name) == value for name, value in env.items() if name.startswith(READ_AT_THE_START))


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
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(begun())
    request = marshal.dumps((list(argv), dict(env), str(cwd or Path.cwd())))
    with Path(os.devnull).open("rb") as nothing:
        socket.send_fds(connection, [request], [nothing.fileno(), stdout.fileno(), stderr.fileno()])
    return Forked(connection.detach())


def program(name: str) -> Path:
    """A file that is `healthd` or `healthd-deploy` for whatever starts programs: forked, too."""
    begun()
    return _programs() / name


@functools.cache
def begun() -> bytes:
    """The address of the zygote of these tests, started by the first call: in the main thread, since it ends with its
    caller's."""
    address = _address()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(address)
    door.listen(128)
    _life, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, door:
        argv = [sys.executable, "-m", zygote.__name__, str(theirs.fileno()), str(door.fileno()), str(_programs())]
        subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *argv],
            stdin=subprocess.DEVNULL,
            cwd=_ROOT,
            pass_fds=[theirs.fileno(), door.fileno()],
            start_new_session=True,
        )
    _life.detach()  # it is closed by the end of this process, and tells the zygote
    return address


@functools.cache
def _address() -> bytes:
    return f"\0healthd-tests-{os.getpid()}-{os.urandom(8).hex()}".encode()


@functools.cache
def _programs() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="healthd-programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("healthd", "healthd-deploy"):
        file = folder / name
        text = inspect.getsource(forked_command)
        anew = str(Path(sys.executable).with_name(name))
        file.write_text(f"#!{sys.executable} -IS\n{text}\n\nmain({_address()!r}, {name!r}, {anew!r}, {_read()!r})\n")
        file.chmod(0o755)
    return folder


def _read() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(READ_AT_THE_START)}


def _read_number(pipe: int) -> int:
    data = os.read(pipe, zygote.NUMBER.size)
    if not data:
        raise EOFError("the zygote has ended")
    (number,) = zygote.NUMBER.unpack(data)
    return int(number)
