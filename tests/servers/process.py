"""One server process: start it, know when it is ready, stop, freeze and end it.

Which program and when it is ready is the business of the server's own file.
"""

import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

import psutil

from tests.servers import forked
from tests.servers.forked import Forked
from tests.servers.ports import HOST, free_port

_POLL = 0.01
_READY_POLL = 0.05  # to ask is work too: a program that starts slowly needs the processor itself
_BIND_ATTEMPTS = 5
_LISTEN = "0A"  # a state in /proc/net/tcp
_BIND_REFUSED = ("address already in use", "could not bind", "cannot bind")


class DidNotStartError(Exception):
    """The server ended, or stayed silent, before it was ready; carries the end of its log."""

    @property
    def lost_port(self) -> bool:
        """Whether another process bound the port between its choice and its use."""
        return any(words in str(self).lower() for words in _BIND_REFUSED)


class Process:
    """A server that can be started, ended and started again, and that dies with the tests.

    The kernel sends `orphan_signal` when the thread that started it goes away, however that happens.
    A program that leaves workers behind when it is killed wants SIGTERM there. Our own can be forked, which is
    cheaper.
    """

    def __init__(
        self,
        argv: Sequence[object],
        ready: Callable[["Process"], bool],
        *,
        log: Path,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGKILL,
        patience: float = 90.0,
        fork: bool = False,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self._ready = ready
        self._log = log
        self._prefix = ["setpriv", f"--pdeathsig={orphan_signal.name.removeprefix('SIG')}", *as_user(user)]
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._patience = patience
        self._logged_before = 0
        self.forks = fork
        self._child: subprocess.Popen[bytes] | Forked | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise RuntimeError(f"{self.argv[0]} was never started")
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._child.poll() if self._child else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def log(self) -> str:
        """All it wrote to its standard output and error, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def said(self, words: str) -> bool:
        """Whether `words` are in its log since it was last started."""
        return words.encode() in self._log.read_bytes()[self._logged_before :]

    def start(self) -> None:
        """Launch it and wait until it is ready, or raise DidNotStartError."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        if self.running:
            raise RuntimeError(f"{self.argv[0]} is already running as {self.pid}")
        with self._log.open("ab") as log:
            self._logged_before = log.tell()
            if self.forks:
                self._child = forked.launch(self.argv, log, log, self._env, self._cwd)
                return
            self._child = subprocess.Popen(
                [*self._prefix, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,  # so that Ctrl-C reaches pytest alone, which then ends the server
            )

    def await_ready(self) -> None:
        deadline = time.monotonic() + self._patience
        while not self._ready(self):
            if not self.running:
                raise DidNotStartError(f"{self.argv[0]} ended with {self.exit_code}:\n{self.log()[-2000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise DidNotStartError(f"{self.argv[0]} not ready in {self._patience} s:\n{self.log()[-2000:]}")
            time.sleep(_READY_POLL)

    def pause(self) -> None:
        """Freeze it and all its children: sockets stay open, nothing answers once this returns."""
        self._signal_tree(signal.SIGSTOP)
        deadline = time.monotonic() + self._patience
        while not all(map(_is_frozen, self.tree())) and time.monotonic() < deadline:
            time.sleep(_POLL)

    def resume(self) -> None:
        self._signal_tree(signal.SIGCONT)

    def stop(self, timeout: float = 30.0) -> None:
        """Ask it to end as its operator would, and kill it when it has not after `timeout` seconds."""
        if self._child is None or not self.running:
            return
        self.resume()
        self._child.send_signal(self._stop_signal)
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and all its children at once, and those that it left behind where it has ended."""
        if self._child is None:
            return
        tree = self.tree() if self.running else []
        self._kill_group()
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._child.wait()
        while any(_lives(process) for process in tree):
            time.sleep(_POLL)

    def _kill_group(self) -> None:
        # At one moment: a master killed before its workers would start others, and one that reloads is just forking.
        # The number is given to nobody else while one of the group lives; where it has ended, a process of that number
        # is a stranger.
        if self.running or not psutil.pid_exists(self.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send it to the process alone."""
        if self._child:
            self._child.send_signal(number)

    def tree(self) -> list[psutil.Process]:
        """The process and its descendants, itself first; empty once it has ended."""
        try:
            itself = psutil.Process(self.pid)
            return [itself, *itself.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def listens(self, port: int) -> bool:
        """Whether this very process, not another one that won the port, accepts IPv4 connections there."""
        try:
            wanted = _listening(self.pid, port)
            return bool(wanted) and any(link in wanted for link in _open_files(self.pid))
        except FileNotFoundError:  # it has ended
            return False

    def _signal_tree(self, number: signal.Signals) -> None:
        # Twice, since a parent may have forked between being listed and being frozen.
        for _ in range(2):
            for process in self.tree():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)


def _is_frozen(process: psutil.Process) -> bool:
    """Whether every thread has stopped: some time after the signal, where they wait for a processor."""
    for thread in Path(f"/proc/{process.pid}/task").glob("*/stat"):
        with suppress(OSError):
            if thread.read_text().rpartition(")")[2].split()[0] not in "TtZX":
                return False
    return True


def _listening(pid: int, port: int) -> set[str]:
    """The IPv4 sockets that listen at a port, as /proc/PID/fd names them.

    /proc/net/tcp begins with those that listen. What follows is not read: of thousands of closed connections, as a busy
    run of the tests leaves behind, each look would cost tens of milliseconds of the processor that the program needs.
    """
    with Path(f"/proc/{pid}/net/tcp").open() as lines:
        rows = islice(map(str.split, lines), 1, None)
        listening = takewhile(lambda columns: columns[3] == _LISTEN, rows)
        return {f"socket:[{columns[9]}]" for columns in listening if int(columns[1].partition(":")[2], 16) == port}


def _open_files(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(entry.readlink())


def _lives(process: psutil.Process) -> bool:
    # One that waits for init to collect it is as good as gone: init may take seconds.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Server:
    """What a test holds of a running server."""

    port: int
    process: Process
    host: str = HOST

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start it again, on the same port and data, after `stop` or `kill`."""
        self.process.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections are still accepted by the kernel, nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def stop(self) -> None:
        """End it in good order."""
        self.process.stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()

    def log(self) -> str:
        return self.process.log()


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder for the files of one server."""
    with tempfile.TemporaryDirectory(prefix="healthd-server-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # a server that gives up root passes through it
        yield folder


@contextmanager
def serving(prepare: Callable[[int], Process]) -> Iterator[tuple[int, Process]]:
    """Start the process that `prepare` makes for a free port, and end it after use.

    Tries another port when somebody else bound the chosen one first.
    """
    port, process = _start_on_free_port(prepare)
    try:
        yield port, process
    finally:
        process.kill()


def _start_on_free_port(prepare: Callable[[int], Process]) -> tuple[int, Process]:
    for attempt in range(1, _BIND_ATTEMPTS + 1):
        port = free_port()
        process = prepare(port)
        try:
            process.start()
        except DidNotStartError as error:
            if not error.lost_port or attempt == _BIND_ATTEMPTS:
                raise
        except BaseException:
            process.kill()
            raise
        else:
            return port, process
    raise AssertionError("unreachable: the last attempt returns or raises")


def as_user(user: str | None) -> list[str]:
    """The setpriv options that give up root for `user`; none when there is nothing to give up."""
    if user is None or os.geteuid() != 0:
        return []
    account = pwd.getpwnam(user)
    return [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
