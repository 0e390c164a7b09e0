"""Disk: space and inodes that are left for an ordinary user, and whether the file system accepts writes."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from healthd.checks.contract import CheckContext, Scope
from healthd.checks.thresholds import ThresholdConfig
from healthd.model import FailureKind, Observed, Result, Status
from healthd.runtime.clock import Clock
from healthd.units import Ratio

_MOUNTS = Path("/proc/self/mountinfo")
_TAKES_NO_WRITES = {errno.EROFS, errno.EIO, errno.EUCLEAN, errno.ENODEV, errno.ENXIO}


class DiskConfig(ThresholdConfig):
    kind: Literal["disk"] = "disk"
    scope: Scope = Scope.LOCAL
    path: Path = Path("/")
    """Any path on the file system to check."""
    degraded: Ratio = 0.75
    """Share of space, or of inodes, in use at which the check becomes degraded."""
    unhealthy: Ratio = 0.85
    """Share of space, or of inodes, in use at which the check becomes unhealthy."""
    writable: Literal["auto"] | bool = "auto"
    """`true`: the file system must accept writes, which each probe tests by a write; `false`: it need not; `auto`: it
    must not have turned read-only, as after a disk error. For a container's own file system only a test write can
    tell."""
    mount_point: bool = False
    """True if something must be mounted at the path; without that, the check silently measures the file system above
    when the mount is missing."""


@dataclass(frozen=True, slots=True)
class Look:
    """State of a file system in one probe. `turned_read_only`: the kernel made it read-only, it was not mounted so."""

    stat: os.statvfs_result
    turned_read_only: bool
    is_mount_point: bool
    refusal: str | None = None
    """Error of the system at a test write; None where it succeeded, or was not tried."""


class Disk:
    """Reads the file system in a thread of its own: a dead network file system blocks its caller, possibly for ever."""

    config_model: ClassVar[type[DiskConfig]] = DiskConfig

    def __init__(self, config: DiskConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._was_writable = False
        self._was_cut_off = False

    async def probe(self) -> Result:
        path = str(self._config.path)
        waited = _waiting(path, self._clock)
        if waited >= self._config.timeout or (waited and self._was_cut_off):  # else another check's, and still short
            message = f"{path} has not answered for {waited:.0f} s: a dead network file system?"
            return Result.unhealthy(FailureKind.TIMEOUT, message)
        self._was_cut_off = False
        try:
            look = await _look_from_thread(path, self._clock, try_to_write=self._config.writable is True)
        except asyncio.CancelledError:
            self._was_cut_off = True
            raise
        except FileNotFoundError:
            return Result.unhealthy(FailureKind.MISCONFIGURED, f"{path} does not exist")
        return self._judge(look)

    async def close(self) -> None:
        """Do nothing: no resource is open; a thread that hangs is left alone, and no second one is started."""

    def _judge(self, look: Look) -> Result:
        stat = look.stat
        space = _share(stat.f_blocks - stat.f_bfree, stat.f_bavail)
        inodes = _share(stat.f_files - stat.f_ffree, stat.f_favail)
        read_only = bool(stat.f_flag & os.ST_RDONLY) or look.turned_read_only
        observed: Observed = {
            "usage": round(space * 100, 1),
            "inodeUsage": round(inodes * 100, 1),
            "available": stat.f_bavail * stat.f_frsize,
            "total": stat.f_blocks * stat.f_frsize,
            "readOnly": read_only,
        }
        if self._config.mount_point and not look.is_mount_point:
            missing = f"nothing is mounted at {self._config.path}"
            return Result.unhealthy(FailureKind.MISCONFIGURED, missing, observed=observed)
        if look.refusal is not None:
            refused = f"{self._config.path} does not take writes: {look.refusal}"
            return Result.unhealthy(FailureKind.READ_ONLY, refused, observed=observed)
        turned = look.turned_read_only or self._was_writable
        self._was_writable = self._was_writable or not read_only
        if read_only and (self._config.writable is True or (self._config.writable == "auto" and turned)):
            return Result.unhealthy(FailureKind.READ_ONLY, f"{self._config.path} is read-only", observed=observed)
        if read_only:  # an image, full by design: nobody writes to it
            return Result.healthy(f"{self._config.path} is read-only", observed=observed)
        fullest, text = max((space, "space"), (inodes, "inodes"))
        text = f"{fullest:.1%} of the {text} of {self._config.path} is in use"
        match self._config.judge(fullest):
            case Status.UNHEALTHY:
                return Result.unhealthy(FailureKind.EXHAUSTED, text, observed=observed)
            case Status.DEGRADED:
                return Result.degraded(FailureKind.EXHAUSTED, text, observed=observed)
        return Result.healthy(text, observed=observed)


_asking: dict[str, tuple[threading.Thread, float]] = {}  # by path, for the process: a reload must not add threads


def _waiting(path: str, clock: Clock) -> float:
    """Return the seconds for which a thread has been waiting for an answer; 0 when none is."""
    thread, since = _asking.get(path, (None, 0.0))
    return clock.steady() - since if thread is not None and thread.is_alive() else 0.0


async def _look_from_thread(path: str, clock: Clock, *, try_to_write: bool) -> Look:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Look] = loop.create_future()

    def settle(look: Look | None, error: BaseException | None) -> None:
        if answer.done():  # its probe was cancelled meanwhile
            return
        if look is not None:
            answer.set_result(look)
        elif error is not None:
            answer.set_exception(error)

    def ask() -> None:
        try:
            look, error = _look(path, try_to_write), None
        except BaseException as failure:
            look, error = None, failure
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, look, error)

    # Daemonic, and not of the default executor: the interpreter waits for those at exit.
    thread = threading.Thread(target=ask, name=f"disk:{path}", daemon=True)
    _asking[path] = thread, clock.steady()
    thread.start()
    return await answer


def _look(path: str, try_to_write: bool) -> Look:
    mounts = [line.partition(" - ") for line in _MOUNTS.read_text(errors="surrogateescape").splitlines()]
    turned = _turned_read_only(path, [(before.split(" "), after.split(" ")) for before, _, after in mounts])
    points = {_unescaped(before.split(" ")[4]) for before, _, _ in mounts}
    return Look(os.statvfs(path), turned, os.path.realpath(path) in points, _refusal(path) if try_to_write else None)


def _unescaped(path: str) -> str:
    """Return a path of mountinfo with its octal escapes decoded, as of spaces."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _refusal(path: str) -> str | None:
    """Return why a temporary file cannot be written there; None where it can, and where this user may not write there,
    so that it cannot be tested."""
    try:
        file = _nameless_file(path)
        try:
            os.write(file, b"healthd")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        return os.strerror(error.errno) if error.errno in _TAKES_NO_WRITES else None
    return None


def _nameless_file(path: str) -> int:
    try:
        return os.open(path, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):  # as on older overlays and NFS
            raise
    file, name = tempfile.mkstemp(prefix=".healthd-", dir=path)
    Path(name).unlink()
    return file


def _share(used: int, available: int) -> float:
    """Return the share in use as `df` counts it: what is reserved for root is neither used nor available. A file system
    without a fixed number of inodes reports zero."""
    return used / (used + available) if used + available > 0 else 0.0


def _turned_read_only(path: str, mounts: Iterable[tuple[list[str], list[str]]]) -> bool:
    """True if the kernel stopped writes after an error: the file system is read-only while its mount is not.

    The fields of mountinfo are separated by single spaces, and the source, the second of the last ones, may be empty.
    """
    device = Path(path).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for fields, after in mounts:
        if fields[2] == number:
            options = after[2].split(",")
            return "emergency_ro" in options or ("ro" in options and "rw" in fields[5].split(","))
    return False
