"""Every line of a log is read once, however the log is rotated, and whenever the reader begins anew."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from healthd_gates.sources.access_log.follower import LONGEST_LINE, Follower, Reading
from healthd_gates.sources.access_log.places import Place

_BUDGET = 10**9


class Log:
    """A log that is written to as NGINX does, and what a follower has read of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "access.log"
        self.written: list[str] = []
        self.read: list[str] = []
        self.lost = self.skipped = 0
        self.now = 0.0
        self._numbers = count()
        self.path.touch()
        self.follower = Follower(self.path, None)

    def write(self, lines: int = 1, path: Path | None = None) -> None:
        new = [f"{next(self._numbers)} GET /{'x' * 40}" for _ in range(lines)]
        self.written += new
        with (path or self.path).open("a") as file:
            file.writelines(f"{line}\n" for line in new)

    def look(self, after: float = 1.0) -> Reading:
        self.now += after
        reading = self.follower.read(self.read.extend, _BUDGET, self.now)
        self.lost += reading.lost
        self.skipped += reading.skipped
        return reading

    def restart(self) -> None:
        """As after a kill: only the position is left, and it was in the journal."""
        stored = json.loads(json.dumps(self.follower.position))
        self.follower.close()
        self.follower = Follower(self.path, tuple(Place.from_json(place) for place in stored))

    def rename(self, pack: Callable[[Path], None] | None = None) -> None:
        """As logrotate does: the numbers go up, and the newest may be compressed at once."""
        folder = self.path.parent
        for old in sorted(folder.glob("access.log.*"), key=lambda it: int(it.name.split(".")[2]), reverse=True):
            number, *rest = old.name.split(".")[2:]
            old.rename(folder / ".".join(["access.log", str(int(number) + 1), *rest]))
        first = folder / "access.log.1"
        self.path.rename(first)
        self.path.touch()
        if pack is not None:
            pack(first)

    def copy_and_truncate(self) -> None:
        folder = self.path.parent
        for old in sorted(folder.glob("access.log.*"), key=lambda it: int(it.name.split(".")[2]), reverse=True):
            old.rename(folder / f"access.log.{int(old.name.split('.')[2]) + 1}")
        shutil.copyfile(self.path, folder / "access.log.1")
        os.truncate(self.path, 0)

    @property
    def exact(self) -> bool:
        return self.read == self.written and self.lost == 0


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def gzipped(path: Path) -> None:
    _pack(path, ".gz")


def _pack(path: Path, suffix: str) -> None:
    """As the tools do: the time of the last change stays."""
    data, packed = path.read_bytes(), path.with_name(path.name + suffix)
    packed.write_bytes(
        gzip.compress(data) if suffix == ".gz" else bz2.compress(data) if suffix == ".bz2" else lzma.compress(data)
    )
    info = path.stat()
    os.utime(packed, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.unlink()


def test_it_begins_at_the_end(tmp_path: Path) -> None:
    """What was before the gate is not its own; a line that was half written is."""
    log = Log(tmp_path)
    log.write(5)
    with log.path.open("a") as file:
        file.write("half ")
    log.follower = Follower(log.path, None)
    with log.path.open("a") as file:
        file.write("a line\n")
    log.look()
    assert log.read == ["half a line"]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("pack", [None, gzipped], ids=["plain", "gzip"])
def test_renamed(log: Log, restart: bool, pack: Callable[[Path], None] | None) -> None:
    """What was written between the last look and the renaming is read from where it went."""
    log.write(10)
    log.look()
    log.write(5)
    if restart:
        log.restart()
    log.rename(pack)
    if restart:
        log.restart()
    log.write(3)
    log.look()
    assert log.exact


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_compressed_while_nobody_looked(log: Log, suffix: str) -> None:
    """By any of the three that logrotate offers."""
    log.write(10)
    log.look()
    log.write(5)
    log.rename(lambda path: _pack(path, suffix))
    log.write(2)
    log.restart()
    log.look()
    assert log.exact


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("after", [0, 3, 30], ids=["empty", "shorter", "longer"])
def test_copied_and_truncated(log: Log, restart: bool, after: int) -> None:
    """Also when the file has grown beyond the former place again."""
    log.write(10)
    log.look()
    log.write(5)
    log.copy_and_truncate()
    log.write(after)
    if restart:
        log.restart()
    log.look()
    log.write(4)
    log.look()
    assert log.exact


def test_all_was_read_before_it_was_truncated(log: Log) -> None:
    """The copy ends before the place: nothing is lost."""
    log.write(10)
    log.look()
    log.copy_and_truncate()
    log.write(2)
    log.look()
    assert log.exact


def test_truncated_without_a_copy(log: Log) -> None:
    """What came before is gone, and that is said."""
    log.write(10)
    log.look()
    os.truncate(log.path, 0)
    log.write(2)
    log.look()
    assert (log.read, log.lost) == (log.written, 1)


def test_several_rotations_while_nobody_looked(log: Log) -> None:
    """A daemon that was down for days reads all of them, in order."""
    log.write(10)
    log.look()
    log.write(2)
    stamps = iter(range(100, 10**6, 100))
    for pack in (gzipped, gzipped, None):
        log.write(4)
        at = log.path.stat().st_mtime + next(stamps)
        os.utime(log.path, (at, at))
        log.rename(pack)
    log.write(3)
    log.restart()
    log.look()
    assert log.exact


def test_workers_write_to_the_old_log_for_a_while(log: Log) -> None:
    """NGINX's workers reopen their logs one after the other."""
    log.write(3)
    log.look()
    log.rename()
    log.write(2)
    log.look()
    old = log.path.with_name("access.log.1")
    log.write(1, old)
    log.look(5)
    log.restart()
    log.write(1, old)
    log.write(1)
    log.look(5)
    log.look(20)
    log.look(20)
    assert sorted(log.read) == sorted(log.written)
    assert len(log.follower.position) == 1


def test_a_file_of_the_same_inode_is_not_the_same_file(log: Log) -> None:
    """File systems give an inode to the next file as soon as it is free. Only what comes is counted."""
    log.write(10)
    log.look()
    [place] = log.follower.position
    log.follower.close()
    log.path.unlink()
    other = log.path.with_name("other")
    other.write_text("a longer line than any of the others\n" * 40)
    other.rename(log.path)
    log.read.clear()
    log.written.clear()
    log.follower = Follower(log.path, (place._replace(inode=log.path.stat().st_ino + 1),))
    log.write(2)
    log.look()
    assert (log.read, log.lost) == (log.written, 1)


def test_other_logs_in_the_folder_are_not_read(log: Log) -> None:
    """Nor is a copy that a person made."""
    log.write(10)
    log.look()
    for name in ("access.log-bak", "access_admin.log", "access.log.1", "other.log-20261126"):
        shutil.copyfile(log.path, log.path.with_name(name))
    log.path.with_name("access_admin.log").write_text("not ours\n" * 50)
    log.rename(lambda path: None)
    log.write(2)
    log.look()
    assert log.exact


def test_lines_that_are_too_long_are_skipped(log: Log) -> None:
    """A line of 10 MB takes no memory, and is one line that does not fit."""
    log.write(2)
    with log.path.open("a") as file:
        file.write("x" * 10 * 1024**2)
    log.look()
    log.restart()
    with log.path.open("a") as file:
        file.write("y" * LONGEST_LINE + "\n" + "z" * (LONGEST_LINE + 1) + "\n")
    log.write(2)
    log.look()
    assert log.exact
    assert log.skipped == 2


def test_a_budget_ends_a_look_within_a_file(log: Log) -> None:
    """The rest comes with the next ones, from the same place."""
    log.write(50_000)
    for _ in range(9):
        log.follower.read(log.read.extend, 1024 * 1024, log.now)
        log.restart()
    assert log.exact


def test_a_log_that_is_gone_says_so_and_is_taken_up_again(log: Log) -> None:
    """What was read before counts."""
    log.write(2)
    log.path.rename(log.path.with_name("access.log.1"))
    reading = log.look()
    assert isinstance(reading.problem, FileNotFoundError)
    log.write(2)
    assert log.look().problem is None
    assert log.exact


def test_a_compressed_log_that_is_cut_off(log: Log) -> None:
    """As far as it can be read; the rest is lost, and that is said."""
    rng = random.Random(4)
    with log.path.open("a") as file:
        file.writelines(f"{rng.random()}\n" for _ in range(20_000))
    [place] = Follower(log.path, None).position
    packed = log.path.with_name("access.log.1.gz")
    packed.write_bytes(gzip.compress(log.path.read_bytes() + b"more\n" * 50_000)[:-20])
    log.path.unlink()
    log.path.touch()
    log.follower = Follower(log.path, (place,))
    log.write(2)
    log.look()
    assert log.read[-2:] == log.written
    assert log.lost >= 1


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_in_whatever_order(tmp_path: Path, seed: int) -> None:
    """Writing, rotating in each way, looking and restarting: each line is read once."""
    rng, log = random.Random(seed), Log(tmp_path)
    copying = rng.random() < 0.4
    log.write(5)
    log.look()
    steps = Counter[str]()
    for _ in range(60):
        step = rng.choice(["write", "write", "write", "look", "look", "restart", "rotate"])
        steps[step] += 1
        if step == "write":
            log.write(rng.randint(1, 30))
        elif step == "look":
            log.look(rng.choice([0.5, 3, 15]))
        elif step == "restart":
            log.restart()
        else:
            log.look()  # as often as a log is rotated, it is looked at
            log.write(rng.randint(4, 9))  # long enough to be told from others
            if copying:
                log.copy_and_truncate()
            else:
                log.rename(rng.choice([None, gzipped]))
            log.write(rng.randint(4, 9))
    log.look()
    log.look(20)
    log.look(20)
    assert sorted(log.read) == sorted(log.written), steps
    assert log.lost == 0
