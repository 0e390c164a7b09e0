"""A small file system to fill up; needs root to mount it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import own_folder
from tests.servers.programs import absent, require_root


@dataclass(frozen=True)
class Tmpfs:
    """A mounted file system with nothing in it."""

    path: Path

    def fill(self) -> None:
        """Use up its space."""
        with suppress(OSError), (self.path / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)

    def fill_inodes(self) -> None:
        """Use up its inodes, with hardly any space."""
        with suppress(OSError):
            number = 0
            while True:
                (self.path / f"filler-{number}").touch()
                number += 1

    def empty(self) -> None:
        """Undo `fill` and `fill_inodes`."""
        for filler in self.path.glob("filler*"):
            filler.unlink()

    def make_read_only(self) -> None:
        """As a kernel does to a disk with errors."""
        self.remount("ro")

    def make_writable(self) -> None:
        self.remount("rw")

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", self.path], check=True)


@contextmanager
def mounted(size: str = "1m", inodes: int = 64) -> Iterator[Tmpfs]:
    """A file system of `size`, as mount(8) takes it, with room for `inodes` files and folders."""
    require_root("to mount a file system")
    with own_folder() as folder:
        path = folder / "mount"
        path.mkdir()
        options = f"size={size},nr_inodes={inodes}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "healthd-test", str(path)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode:
            absent(f"no file system can be mounted here: {done.stderr.strip()}")
        try:
            yield Tmpfs(path)
        finally:
            subprocess.run(["umount", "--lazy", path], check=True)
