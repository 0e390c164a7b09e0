"""Process from which our own programs are forked: `python -m tests.servers.zygote SOCKET`, started by `forked`.

It has imported what they would import first, a second and a half of a processor for a daemon, and starts none itself.
Each request is a JSON object with three descriptors: of the standard output, of the standard error, and of a pipe that
gets the process id and later the exit code.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from healthd.runtime import lean_imports, lean_trust

NUMBER = struct.Struct("i")
_MODULES = (
    *("healthd.cli", "healthd.commands.run", "healthd.monitoring.scheduler", "healthd.app.rest", "healthd.app.gates"),
    *("aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "healthd.checks.process", "healthd.checks.http"),
    *(f"healthd_gates.criteria.{name}" for name in ("checks", "error_rate", "comparison", "latency", "smoke")),
    *(f"healthd_gates.actions.{name}" for name in ("command", "webhook")),
    *("healthd_gates.sources.push", "healthd_gates.sources.scrape", "healthd_gates.sources.prometheus"),
    *("healthd_gates.commands.verify", "healthd_gates.commands.look", "healthd_gates.commands.act"),
    "healthd_deploy.cli",
    *(f"healthd_deploy.{platform}.command" for platform in ("aws", "host", "kubernetes", "nginx")),
)
_PROGRAMS = {"healthd": ("healthd.__main__", "main"), "healthd-deploy": ("healthd_deploy.cli", "main")}
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def _load() -> None:
    """As the programs do it: without what they do without."""
    with lean_imports.without("rich"):
        import_module("structlog")
    with lean_trust.reading_when_used(), lean_imports.without("pygments"):
        for module in _MODULES:
            import_module(module)
        import_module("healthd.journal.migrate").prepare()
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> Callable[[], object] | None:
    """Fork what is asked for. Returns in each child what it is to run, and nothing here, once the caller is gone."""
    waiting = selectors.SelectSelector()  # unlike others, it has no descriptor that a child would inherit
    waiting.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not requests:
                _report(*key.data)
                waiting.unregister(key.fileobj)
                os.close(key.fd)
                continue
            text, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 3)
            if not text:
                return None
            *outputs, pipe = descriptors
            pid = os.fork()
            if pid == 0:
                return _become(json.loads(text), *outputs)
            os.write(pipe, NUMBER.pack(pid))
            for descriptor in outputs:
                os.close(descriptor)
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, pipe))


def _report(pid: int, pipe: int) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # nobody asks any more
        os.write(pipe, NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os.close(pipe)


def _become(said: Mapping[str, Any], out: int, err: int) -> Callable[[], object]:
    """Take on what the caller wants, as a program that was started by it would have it."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 1 << 16)
    os.chdir(said["cwd"])
    os.environ.clear()
    os.environ.update(said["env"])
    time.tzset()
    program, *words = said["argv"]
    sys.argv = [program, *words]
    sys.modules["__main__"].__package__ = None  # as of a script: click would else take this for its name
    module, name = _PROGRAMS[program]
    main: Callable[[], object] = getattr(import_module(module), name)
    return main


def main() -> None:
    _load()
    program = _serve(socket.socket(fileno=int(sys.argv[1])))
    if program is not None:
        program()


if __name__ == "__main__":
    main()
