"""Disk: real small file systems, full, without inodes, read-only and dead."""

import asyncio
import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from healthd.checks import disk as disk_check
from healthd.checks.contract import CheckContext
from healthd.checks.disk import Disk, DiskConfig
from healthd.model import FailureKind, Status
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener, Monitor
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from tests.servers.lateness import Lateness
from tests.servers.waiting import until

_libc = ctypes.CDLL(None, use_errno=True)
_READ_ONLY, _REMOUNT, _FORCE, _DETACH = 1, 32, 1, 2


def mount(kind: str, target: Path, options: str, flags: int = 0) -> None:
    if _libc.mount(kind.encode(), bytes(target), kind.encode(), flags, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


@contextmanager
def mounted(kind: str, target: Path, options: str) -> Iterator[Path]:
    """A file system on a new directory, or a skip where one may not be mounted."""
    target.mkdir()
    try:
        mount(kind, target, options)
    except PermissionError:
        pytest.skip("mounting needs root")
    try:
        yield target
    finally:
        _libc.umount2(bytes(target), _DETACH)


Mounting = Callable[[str], Path]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Mounting]:
    """Small file systems in memory, with the options given."""
    with ExitStack() as stack:
        yield lambda options: stack.enter_context(mounted("tmpfs", tmp_path / options, options))


def disk(path: Path, **options: object) -> Disk:
    config = DiskConfig.model_validate({"kind": "disk", "path": path, **options})
    return Disk(config, CheckContext("disk", SystemClock(), {}))


async def test_room_enough(tmpfs: Mounting) -> None:
    """An empty file system is healthy, and says how full it is in percent."""
    result = await disk(tmpfs("size=1m")).probe()
    assert result.status is Status.HEALTHY
    assert result.observed["usage"] == 0.0
    assert result.observed["total"] == 2**20


@pytest.mark.parametrize(
    ("kib", "status"),
    [(764, Status.HEALTHY), (768, Status.DEGRADED), (876, Status.UNHEALTHY), (1024, Status.UNHEALTHY)],
)
async def test_full(tmpfs: Mounting, kib: int, status: Status) -> None:
    """Degraded from 75 %, unhealthy from 85 %."""
    path = tmpfs("size=1m")
    (path / "data").write_bytes(bytes(kib * 1024))
    result = await disk(path).probe()
    assert result.status is status
    assert result.kind is (None if status is Status.HEALTHY else FailureKind.EXHAUSTED)
    assert result.observed["usage"] == round(kib / 10.24, 1)


async def test_no_inodes(tmpfs: Mounting) -> None:
    """Space without inodes takes no file."""
    path = tmpfs("size=1m,nr_inodes=20")
    for number in range(19):  # one is the root directory's
        (path / str(number)).touch()
    result = await disk(path).probe()
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXHAUSTED)
    assert "of the inodes of" in result.message
    assert result.observed["inodeUsage"] == 100.0


async def test_remounted_read_only(tmpfs: Mounting) -> None:
    """A file system that took writes and does so no more is unhealthy; one that never did is as it should be."""
    path = tmpfs("size=1m")
    check = disk(path)
    assert (await check.probe()).status is Status.HEALTHY
    mount("tmpfs", path, "", _REMOUNT | _READ_ONLY)
    result = await check.probe()
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.READ_ONLY)
    assert (await check.probe()).status is Status.UNHEALTHY
    assert (await disk(path).probe()).status is Status.HEALTHY
    assert (await disk(path, writable=True).probe()).kind is FailureKind.READ_ONLY
    assert (await disk(path, writable=False).probe()).status is Status.HEALTHY
    mount("tmpfs", path, "size=1m", _REMOUNT)
    assert (await check.probe()).status is Status.HEALTHY


async def test_what_is_read_only_by_design_is_full_by_design(tmpfs: Mounting) -> None:
    """As a squashfs image, `/` of an embedded system: its space is of no interest to anybody."""
    path = tmpfs("size=1m")
    (path / "data").write_bytes(bytes(2**20))
    assert (await disk(path).probe()).kind is FailureKind.EXHAUSTED
    mount("tmpfs", path, "", _REMOUNT | _READ_ONLY)
    result = await disk(path).probe()
    assert (result.status, result.observed["usage"]) == (Status.HEALTHY, 100.0)


async def test_a_mount_that_is_missing(tmpfs: Mounting, tmp_path: Path) -> None:
    """A path answers for whatever file system it is on, unless something is to be mounted there."""
    path = tmpfs("size=1m")
    (path / "below").mkdir()
    assert (await disk(path, mount_point=True).probe()).status is Status.HEALTHY
    result = await disk(path / "below", mount_point=True).probe()
    assert (result.kind, result.message) == (FailureKind.MISCONFIGURED, f"nothing is mounted at {path}/below")
    assert (await disk(path / "below").probe()).status is Status.HEALTHY


async def test_a_file_system_that_must_take_writes_is_written_to(tmpfs: Mounting) -> None:
    """And nothing of it is left."""
    path = tmpfs("size=1m")
    assert (await disk(path, writable=True).probe()).status is Status.HEALTHY
    assert not list(path.iterdir())


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
async def test_a_container_whose_file_system_takes_no_writes(
    tmpfs: Mounting, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """After a disk error below an overlay no flag of the overlay says so; a write does."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    path = tmpfs("size=1m")
    monkeypatch.setattr(disk_check, "_nameless_file", refuse)
    result = await disk(path, writable=True).probe()
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.READ_ONLY)
    assert result.message == f"{path} does not take writes: {os.strerror(number)}"
    assert (await disk(path, writable=False).probe()).status is Status.HEALTHY


async def test_a_mount_without_a_source(tmp_path: Path) -> None:
    """As some runtimes make them: it is read, and so is whatever is listed after it."""
    if os.geteuid():
        pytest.skip("needs root")
    (tmp_path / "none").mkdir()
    assert _libc.mount(b"", bytes(tmp_path / "none"), b"tmpfs", 0, b"size=1m") == 0
    try:
        assert (await disk(tmp_path / "none").probe()).status is Status.HEALTHY
        assert (await disk(tmp_path).probe()).kind is not FailureKind.INTERNAL
    finally:
        _libc.umount2(bytes(tmp_path / "none"), _DETACH)


async def test_no_such_path(tmp_path: Path) -> None:
    """A typing error in the path is not a disk failure."""
    result = await disk(tmp_path / "nowhere").probe()
    assert result.kind is FailureKind.MISCONFIGURED


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Path]:
    """A file system whose server never answers, as NFS after its server died: FUSE that nobody serves."""
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs /dev/fuse and root")
    with Path("/dev/fuse").open("r+b", buffering=0) as served:  # closing it lets go whoever waits
        options = f"fd={served.fileno()},rootmode=40000,user_id=0,group_id=0"
        with mounted("fuse", tmp_path / "dead", options) as path:
            yield path


def threads_at(path: Path) -> int:
    return sum(thread.name == f"disk:{path}" for thread in threading.enumerate())


async def test_a_dead_file_system_costs_one_thread(dead: Path) -> None:
    """The first probe times out; those after it say what is wrong at once, and no thread is added, even by reloads."""
    config = DiskConfig.model_validate({"path": dead, "timeout": 0.2})
    board, clock = Board(SystemClock()), SystemClock()
    board.arrange({"disk": config}, {}, ())

    def monitor() -> Monitor:
        check: Any = Disk(config, CheckContext("disk", clock, {}))
        deaf: Any = lambda *_: None  # noqa: E731
        return Monitor(
            "disk", config, check, board=board, clock=clock, redact=Redactor(), listener=Listener(deaf, deaf)
        )

    with Lateness() as late:
        probe = await monitor().run()
        assert probe.result.kind is FailureKind.TIMEOUT
        assert probe.duration < 0.45 + late.seconds
        for _ in range(5):
            probe = await monitor().run()
            assert "a dead network file system?" in probe.result.message
            assert probe.duration < 0.1 + late.seconds
    assert threads_at(dead) == 1


async def test_a_file_system_that_comes_back(dead: Path) -> None:
    """After a probe that was cut off, perhaps a moment before the thread has waited for the time-out, none starts a
    second thread; when the thread that hung returns, the next probe asks again."""
    check = disk(dead, interval="60s", timeout="60s")
    cut_off = asyncio.create_task(check.probe())
    await until(lambda: threads_at(dead) == 1, "the thread asks")
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    assert (await asyncio.wait_for(check.probe(), 30)).kind is FailureKind.TIMEOUT
    _libc.umount2(bytes(dead), _FORCE)
    await until(lambda: threads_at(dead) == 0, "the thread returns")
    _libc.umount2(bytes(dead), _DETACH)
    assert "usage" in (await check.probe()).observed
