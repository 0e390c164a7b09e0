"""Memory limit and usage of this process: read from cgroup v2, cgroup v1 or the host. Only reads files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MemoryScope:
    """Limit on the memory of the process: `used` and `limit` in bytes. `name` is a cgroup's path, or `host`. At
    `memory.max` the kernel kills; at `memory.high` it slows down whoever allocates, until nothing goes on.

    The cache of files, and the part of the kernel's own memory that it can take back, do not count as used: the kernel
    takes them back before it kills anything. The host's MemAvailable is computed in the same way.
    """

    name: str
    used: int
    limit: int

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 1.0


@dataclass(frozen=True, slots=True)
class MemoryEvents:
    """Number of processes that the kernel ever killed in this cgroup for lack of memory, and the share of the last 10 s
    (in percent) in which some, or all, tasks waited for memory. None where the kernel does not report it."""

    oom_kills: int | None
    stalled_some: float | None
    stalled_all: float | None


def tightest(root: Path) -> MemoryScope:
    """Return the fullest of the process's own cgroup and all its ancestors; the host's memory when none has a limit.

    `root` is `/` except in tests. Raises OSError when not even `/proc/meminfo` can be read.
    """
    host = _host(root)
    for scopes in (_v2(root), _v1(root)):
        limited = [scope for scope in scopes if scope.limit < host.limit]  # a limit above the host's memory is no limit
        if limited:
            return max(limited, key=lambda scope: scope.share)
    return host


def events(root: Path) -> MemoryEvents:
    """Return what the kernel reports about lack of memory in the process's own cgroup; pressure of the host as a
    fallback."""
    kills, pressure = None, _words(root / "proc/pressure/memory")
    for own, controller in ((_own(root, "cgroup2"), "memory.events"), (_own(root, "memory"), "memory.oom_control")):
        if own is not None and kills is None:
            with suppress(KeyError, ValueError):
                kills = int(_words(own / controller)["oom_kill"])
            pressure = _words(own / "memory.pressure") or pressure
    return MemoryEvents(kills, _avg10(pressure, "some"), _avg10(pressure, "full"))


def _v2(root: Path) -> Iterator[MemoryScope]:
    for folder, name in _lineage(root, "cgroup2"):
        # Absent in the root of all, "max" where there is no limit.
        limits = [limit for file in ("memory.max", "memory.high") if (limit := _number(folder / file)) is not None]
        used = _number(folder / "memory.current")
        if limits and used is not None:
            used = _without(used, folder, "inactive_file", "active_file", "slab_reclaimable")
            yield MemoryScope(name, used, min(limits))


def _v1(root: Path) -> Iterator[MemoryScope]:
    for folder, name in _lineage(root, "memory"):
        limit, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            yield MemoryScope(name, _without(used, folder, "total_inactive_file", "total_active_file"), limit)


def _host(root: Path) -> MemoryScope:
    lines = (root / "proc/meminfo").read_text().splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}
    total = kib["MemTotal"] * 1024
    return MemoryScope("host", total - kib["MemAvailable"] * 1024, total)


def _without(used: int, folder: Path, *given_back: str) -> int:
    told = _words(folder / "memory.stat")
    try:
        return max(0, used - sum(int(told.get(name, "0")) for name in given_back))
    except ValueError:
        return used


def _lineage(root: Path, hierarchy: str) -> Iterator[tuple[Path, str]]:
    """Yield the process's own folder in a hierarchy and its ancestors, as far as they are mounted here."""
    mount, own = _mount(root, hierarchy), _own(root, hierarchy)
    while mount is not None and own is not None:
        yield own, "/" + str(own.relative_to(mount)).removeprefix(".")
        if own == mount:
            return
        own = own.parent


def _own(root: Path, hierarchy: str) -> Path | None:
    """Return the folder of the process's own cgroup; the mount itself when the path is not visible from here."""
    mount = _mount(root, hierarchy)
    if mount is None:
        return None
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" if hierarchy == "cgroup2" else hierarchy in controllers.split(","):
            below = path.removeprefix(_mounted_from(root, hierarchy) or "")
            folder = mount / below.lstrip("/")
            return folder if ".." not in below and folder.is_dir() else mount
    return mount


def _mount(root: Path, hierarchy: str) -> Path | None:
    found = _mountinfo(root, hierarchy)
    return None if found is None else root / found[1].lstrip("/")


def _mounted_from(root: Path, hierarchy: str) -> str | None:
    """Return the cgroup that the mount shows as its root: in a container without a cgroup namespace this is its own
    cgroup."""
    found = _mountinfo(root, hierarchy)
    return None if found is None or found[0] == "/" else found[0]


def _mountinfo(root: Path, hierarchy: str) -> tuple[str, str] | None:
    """Return (root, mount point) of a hierarchy, by proc(5): the fields before and after the lone hyphen."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)  # a source may be empty
        if kind == hierarchy or (kind == "cgroup" and hierarchy in options.split(",")):
            return fields[3], fields[4]
    return None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="surrogateescape").splitlines()  # a path need not be UTF-8
    except OSError:
        return []


def _words(file: Path) -> dict[str, str]:
    """Read a file of `name value` lines."""
    return {name: value for name, _, value in (line.partition(" ") for line in _lines(file))}


def _avg10(pressure: dict[str, str], line: str) -> float | None:
    """Read `some avg10=1.25 avg60=…` as 1.25."""
    first = pressure.get(line, "").partition(" ")[0]
    return float(first.removeprefix("avg10=")) if first.startswith("avg10=") else None
