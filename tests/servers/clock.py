"""A wall clock that jumps, for one process; its monotonic clock runs on as it does on a real machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers.process import own_folder
from tests.servers.programs import absent, require


@dataclass(frozen=True)
class WallClock:
    """The clock of the processes that are started with `env`."""

    env: Mapping[str, str]
    offset: Path

    def set(self, seconds: float) -> None:
        """Be that far ahead of the true time (behind, when negative), from now on."""
        # In one step: the process reads the file at every look at the clock.
        written = self.offset.with_suffix(".new")
        written.write_text(f"{seconds:+f}")
        written.replace(self.offset)


@contextmanager
def jumping() -> Iterator[WallClock]:
    """A clock that is right until it is told otherwise."""
    # The library alone: the command would put a process of its own between the tests and the server.
    require("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        absent("libfaketime is not where Debian puts it")
    with own_folder() as folder:
        offset = folder / "offset"
        env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        clock = WallClock(env, offset)
        clock.set(0)
        try:
            yield clock
        finally:
            _clean_up()


def _clean_up() -> None:
    """Remove what the library left in shared memory for processes that were killed."""
    for file in Path("/dev/shm").glob("*faketime_s*_*"):
        if not psutil.pid_exists(int(file.name.rpartition("_")[2])):
            file.unlink(missing_ok=True)
