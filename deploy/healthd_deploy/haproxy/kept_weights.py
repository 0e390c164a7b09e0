"""Test whether HAProxy keeps its weights over a reload: by the files that the running process was started with.

The Runtime API does not tell it. Source: docs.haproxy.org/2.8/configuration.html, "server-state-file" and
"load-server-state-from-file", and docs.haproxy.org/2.8/management.html, 3 "Starting HAProxy".
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import psutil

from healthd_gates.actions.haproxy_runtime import Unanswered, process_id

_LOADS = "load-server-state-from-file"
_SECTIONS = frozenset(
    [
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "peers",
        "resolvers",
        "userlist",
        "mailers",
        "cache",
        "program",
        "http-errors",
        "ring",
        "log-forward",
        "fcgi-app",
        "crt-store",
        "traces",
        "log-profile",
        "acme",
    ]
)
_FORGETS = "a reload of HAProxy gives the traffic to whom its file names"


async def forgets(socket: str, backend: str) -> str | None:
    """Return why the HAProxy behind a socket forgets its weights at a reload, and what to write, for people; None where
    it keeps them, or where its files cannot be read from here, as those of another host or container."""
    with suppress(OSError, psutil.Error, Unanswered, UnicodeDecodeError):
        if not socket.startswith("/") or (pid := await process_id(socket)) is None:
            return None
        process = psutil.Process(pid)
        files = _files(process.cmdline(), _folder_of(process))
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        return _why(_State.read(lines, backend), socket, backend) if lines else None
    return None


def _why(state: _State, socket: str, backend: str) -> str | None:
    missing = []
    if not state.is_loaded:
        missing.append(f"`{_LOADS} global` to its defaults or to backend {backend}")
    if not state.is_local and state.file is None:
        missing.append("`server-state-file FILE` to global")
    file = str(state.file or "FILE")
    writes = f'`echo "show servers state" | socat stdio {socket} >{file}` before each reload'
    if missing:
        return f"{_FORGETS}: add {' and '.join(missing)}, and run {writes}"
    if state.file is not None and _is_known(state.file) and not state.file.exists():
        return f"{_FORGETS}, for nobody has written {file}: run {writes}"
    return None


def _is_known(file: Path) -> bool:
    """True if a name tells which file it is: a relative one is of the folder in which HAProxy was started, which a
    process with a `chroot` has left, and one with a variable is of HAProxy's own environment."""
    return file.is_absolute() and "$" not in str(file)


def _words(line: str) -> Sequence[str]:
    """Return the words of a line as HAProxy has them: without quotes, and without a comment."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.partition("#")[0].split()


def _folder_of(process: psutil.Process) -> Path:
    """Return the folder in which a process works; that of a daemon where only its own user may know."""
    with suppress(psutil.AccessDenied):
        return Path(process.cwd())
    return Path("/")


def _files(words: Sequence[str], folder: Path) -> Iterator[Path]:
    """Yield the files that a command line of HAProxy names, those of a folder in the order in which it reads them."""
    if not words or PurePath(words[0]).name != "haproxy":
        return
    named: list[str] = []
    left = iter(words[1:])
    for word in left:
        if word == "-f":
            named.append(next(left, ""))
        elif word == "-C":
            folder /= next(left, "")
        elif word == "--":
            named += left
    for place in (folder / name for name in named):
        yield from sorted(place.glob("*.cfg")) if place.is_dir() else (place,)


@dataclass(slots=True)
class _State:
    """The configuration's word on the state of a backend's servers."""

    is_loaded: bool = False
    is_local: bool = False
    file: Path | None = None

    @classmethod
    def read(cls, lines: Iterable[str], backend: str) -> _State:
        """Return it as HAProxy reads it: a backend without the directive has that of its `defaults`, which is the one
        that it names, or the last one before it."""
        read = _Reading(backend)
        for line in lines:
            if words := _words(line):
                read.line(words)
        value = read.own or read.inherited
        local = value == "local"
        return cls(value in ("global", "local"), local, None if local or not read.file else Path(read.base, read.file))


@dataclass(slots=True)
class _Reading:
    backend: str
    file: str | None = None
    base: str = ""
    own: str | None = None
    inherited: str | None = None
    _section: str = ""
    _named: str = ""
    _defaults: dict[str, str | None] = field(default_factory=lambda: {"": None})
    _last: str = ""

    def line(self, words: Sequence[str]) -> None:
        first, value = words[0], words[1] if len(words) > 1 else ""
        if first in _SECTIONS:
            self._begin(first, value, words)
        elif self._section == "global" and first == "server-state-file":
            self.file = value
        elif self._section == "global" and first == "server-state-base":
            self.base = value
        elif first == _LOADS and self._section == "defaults":
            self._defaults[self._named] = value
        elif first == _LOADS and self._is_backend:
            self.own = value

    @property
    def _is_backend(self) -> bool:
        return self._section in ("backend", "listen") and self._named == self.backend

    def _begin(self, section: str, name: str, words: Sequence[str]) -> None:
        self._section, self._named = section, name
        of = words[words.index("from") + 1] if "from" in words[:-1] else None
        if section == "defaults":
            self._last = name
            self._defaults[name] = self._defaults.get(of) if of is not None else None
        elif self._is_backend:
            self.inherited = self._defaults.get(self._last if of is None else of)
