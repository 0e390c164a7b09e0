"""Process from which our own programs are forked: `python -m tests.servers.zygote LIFE DOOR PROGRAMS`, started by
`forked`.

It has imported what they would import first, a second and a half of a processor for a daemon, and starts none itself.
It ends when the socket LIFE is closed. Each connection to the socket DOOR is one program: the request (words,
environment and folder, marshalled) comes with the descriptors of its standard input, output and error; the process id
and later the exit code go back. The program is killed when the connection is closed before it ends.
"""

from __future__ import annotations

import ctypes
import gc
import marshal
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module

from healthd.runtime import lean_imports, lean_trust
from healthd.runtime import program as found
from healthd.runtime.entry_points import installed_entry_points

NUMBER = struct.Struct("i")
PACKAGES = "HEALTHD_TESTS_PACKAGES"
"""A variable that names a folder with packages besides those that are installed, which PYTHONPATH is for a program that
is started anew."""
_MODULES = (
    *("healthd.cli", "healthd.commands.run", "healthd.monitoring.scheduler", "healthd.app.rest", "healthd.app.gates"),
    *("aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "healthd.checks.process", "healthd.checks.http"),
    *(f"healthd_gates.criteria.{name}" for name in ("checks", "error_rate", "comparison", "latency", "smoke")),
    *(f"healthd_gates.actions.{name}" for name in ("command", "webhook")),
    *("healthd_gates.sources.push", "healthd_gates.sources.scrape", "healthd_gates.sources.prometheus"),
    *("healthd_gates.commands.verify", "healthd_gates.commands.look", "healthd_gates.commands.act"),
    *("healthd_deploy.cli", "aiobotocore.config", "aiobotocore.session"),
    *(
        f"healthd_deploy.{platform}.command"
        for platform in ("aws", "host", "kubernetes", "migrate", "nginx", "traefik")
    ),
    *("asyncpg", "redis.asyncio"),
)
_PROGRAMS = {
    "healthd": ("healthd.__main__", "main"),
    "healthd-deploy": ("healthd_deploy.cli", "run"),
}
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def _load(programs: str) -> None:
    """As the programs do it: without what they do without. They find each other in the folder of those that are
    forked."""
    found.OWN_FOLDER, found.PATH = programs, f"{programs}:{found.PATH}"
    with lean_imports.without("rich"):
        import_module("structlog")
    with lean_trust.reading_when_used(), lean_imports.without("pygments"):
        for module in _MODULES:
            import_module(module)
        import_module("healthd.journal.migrate").prepare()
        session = import_module("healthd.aws.client").new_session()
        for service in ("ec2", "elbv2", "ssm"):
            session.warm_up_loader_caches(service)
    gc.collect()
    gc.freeze()


def _serve(life: socket.socket, door: socket.socket) -> Callable[[], object] | None:
    """Fork what is asked for. Returns in each child what it is to run, and nothing here, once the caller is gone."""
    waiting = selectors.SelectSelector()  # unlike others, it has no descriptor that a child would inherit
    connections: dict[int, socket.socket] = {}  # by their descriptor
    running: dict[int, tuple[int, int]] = {}  # a connection's program: its process id, and a descriptor of it
    waiting.register(life, selectors.EVENT_READ)
    waiting.register(door, selectors.EVENT_READ)
    while True:
        key = next(iter(waiting.select()))[0]  # one at a time: it may close what the next is about
        if key.fileobj is life:
            return None
        if key.fileobj is door:
            connection, _ = door.accept()
            connections[connection.fileno()] = connection
            waiting.register(connection, selectors.EVENT_READ, connection.fileno())
            continue
        place: int = key.data
        connection = connections[place]
        if place not in running:
            text, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
            if text:
                pid = os.fork()
                if pid == 0:
                    argv, env, cwd = marshal.loads(text)
                    return _become(argv, env, cwd, descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                running[place] = pid, os.pidfd_open(pid)
                waiting.register(running[place][1], selectors.EVENT_READ, place)
                _tell(connection, pid)
                continue
        elif key.fd == place:  # nobody asks any more
            _kill(running[place][0])
            waiting.unregister(connection)
            continue
        else:
            pid, ended = running.pop(place)
            waiting.unregister(ended)
            os.close(ended)
            _tell(connection, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        with suppress(KeyError):
            waiting.unregister(connection)
        connections.pop(place).close()


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody asks any more
        connection.send(NUMBER.pack(number))


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):  # it is not yet in a session of its own
        os.killpg(pid, signal.SIGKILL)


def _become(argv: Sequence[str], env: Mapping[str, str], cwd: str, given: Sequence[int]) -> Callable[[], object]:
    """Take on what the caller wants, as a program that was started by it would have it."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    os.setsid()
    for number, descriptor in enumerate(given):
        os.dup2(descriptor, number)
    os.closerange(3, 1 << 16)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if packages := os.environ.pop(PACKAGES, None):
        sys.path.insert(0, packages)
        installed_entry_points.cache_clear()
    time.tzset()
    program, *words = argv
    sys.argv = [program, *words]
    sys.modules["__main__"].__package__ = None  # as of a script: click would else take this for its name
    module, name = _PROGRAMS[program]
    main: Callable[[], object] = getattr(import_module(module), name)
    return main


def main() -> None:
    *sockets, programs = sys.argv[1:]
    _load(programs)
    life, door = (socket.socket(fileno=int(number)) for number in sockets)
    program = _serve(life, door)
    if program is not None:
        program()


if __name__ == "__main__":
    main()
