"""Read the files of a configuration again, within a deadline: a reading that does not end must not end reloading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from healthd.config.file import ConfigError
from healthd.config.places import Problem
from healthd.config.written_files import ModelT, WrittenFiles
from healthd.registry import leaving_out_drivers
from healthd.runtime.daemon_thread import in_daemon_thread

_log = structlog.get_logger(__name__)
_LONGEST, _TOLD_EVERY = 120.0, 10.0  # seconds; a thousand checks on a busy host take ten
T = TypeVar("T")


async def read_again(files: WrittenFiles[ModelT]) -> ModelT:
    """Return the settings of files once nobody writes them, without blocking, and without importing a driver: what the
    start takes is not refused later. Raises ConfigError, also at the deadline."""

    def read() -> ModelT:
        with leaving_out_drivers():
            return files.load()

    return await within(_LONGEST, _TOLD_EVERY, read, files.path)


async def changed(files: WrittenFiles[ModelT]) -> bool:
    """True if a file is not as it was read, without blocking. Raises ConfigError at the deadline."""
    return await within(_LONGEST, _TOLD_EVERY, files.changed, files.path)


async def within(longest: float, told_every: float, read: Callable[[], T], path: Path | None) -> T:
    """Return what `read` returns, and log while it takes long. Raises ConfigError after `longest` seconds: the thread
    is left to itself then, on a file system that does not answer for ever."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    reading = asyncio.create_task(in_daemon_thread(read, name="configuration"))
    try:
        while (left := began + longest - loop.time()) > 0:
            done, _ = await asyncio.wait({reading}, timeout=min(told_every, left))
            if done:
                return reading.result()
            _log.warning("configuration still being read", seconds=round(loop.time() - began, 1))
    finally:
        reading.cancel()
    message = f"was not read within {longest:g} s: a file system does not answer, or there is too much to read"
    raise ConfigError([Problem(str(path or "the embedded defaults"), None, "", message)])
