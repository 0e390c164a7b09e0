"""Memory under limits: files as kernels of both cgroup versions write them."""

import resource
from pathlib import Path

import pytest

from healthd.checks import cgroups
from healthd.checks.contract import CheckContext
from healthd.checks.memory import Memory, MemoryConfig
from healthd.model import FailureKind, Status
from tests.fakes.monitoring import HandClock

MIB = 2**20
GIB = 2**30
UNLIMITED_V1 = 9223372036854771712
V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory"


class Machine:
    """A root directory with the files of a machine, 16 GiB of which 4 GiB are in use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1024 kB\nMemAvailable: 12582912 kB\n\n")

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def v2(self, own: str, **limits: tuple[int | str, int, int]) -> None:
        """The unified hierarchy; `limits`: memory.max, memory.current and inactive_file of a folder, `_` for `/`."""
        self.write("proc/self/cgroup", f"0::{own}")
        self.write("proc/self/mountinfo", f"23 1 8:1 / / rw - ext4 /dev/sda1 rw\n{V2_MOUNT}")
        (self.root / "sys/fs/cgroup").mkdir(parents=True)
        for name, (limit, used, inactive) in limits.items():
            folder = "sys/fs/cgroup/" + name.replace("__", "/")
            self.write(f"{folder}/memory.max", limit)
            self.write(f"{folder}/memory.current", used)
            self.write(f"{folder}/memory.stat", f"anon 1\ninactive_file {inactive}\nactive_file 0")

    def v1(self, own: str, mounted_from: str = "/", **limits: tuple[int, int, int]) -> None:
        self.write("proc/self/cgroup", f"9:name=systemd:/\n4:memory:{own}\n3:cpu,cpuacct:/elsewhere\n0::/")
        self.write("proc/self/mountinfo", V1_MOUNT.format(root=mounted_from))
        for name, (limit, used, inactive) in limits.items():
            folder = "sys/fs/cgroup/memory/" + name.strip("_").replace("__", "/")
            self.write(f"{folder}/memory.limit_in_bytes", limit)
            self.write(f"{folder}/memory.usage_in_bytes", used)
            self.write(f"{folder}/memory.stat", f"cache 5\ninactive_file 1\ntotal_inactive_file {inactive}")

    def tightest(self) -> tuple[str, int, int]:
        scope = cgroups.tightest(self.root)
        return scope.name, scope.used // MIB, scope.limit // MIB


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_v2_own_limit(machine: Machine) -> None:
    """Used is what is charged less the file pages that nobody used lately."""
    machine.v2("/pod", pod=(512 * MIB, 500 * MIB, 100 * MIB))
    assert machine.tightest() == ("/pod", 400, 512)


def test_v2_an_ancestor_is_tighter(machine: Machine) -> None:
    """A container with room left dies all the same when its pod, or its slice, is full."""
    machine.v2(
        "/slice/pod/app",
        slice=("max", 8 * GIB, 0),
        slice__pod=(1 * GIB, 1000 * MIB, 0),
        slice__pod__app=(512 * MIB, 100 * MIB, 0),
    )
    assert machine.tightest() == ("/slice/pod", 1000, 1024)


def test_v2_nested_and_the_own_is_tighter(machine: Machine) -> None:
    """The fullest counts, wherever it is."""
    machine.v2("/pod/app", pod=(1 * GIB, 600 * MIB, 0), pod__app=(512 * MIB, 500 * MIB, 0))
    assert machine.tightest() == ("/pod/app", 500, 512)


def test_v2_max_everywhere_is_the_host(machine: Machine) -> None:
    """Where nothing is limited the machine is the limit."""
    machine.v2("/pod", pod=("max", 500 * MIB, 0))
    assert machine.tightest() == ("host", 4096, 16384)


def test_v2_a_limit_above_the_host_is_none(machine: Machine) -> None:
    """A limit that cannot be reached would hide a full machine."""
    machine.v2("/pod", pod=(64 * GIB, 500 * MIB, 0))
    assert machine.tightest()[0] == "host"


@pytest.mark.parametrize(("kills_at", "slows_at", "limit"), [("max", 800, 800), (1000, 800, 800), (600, "max", 600)])
def test_v2_a_limit_at_which_everything_slows_down(
    machine: Machine, kills_at: int | str, slows_at: int | str, limit: int
) -> None:
    """Nobody is killed at `memory.high`, and nothing goes on there."""
    machine.v2("/pod", pod=(kills_at if kills_at == "max" else int(kills_at) * MIB, 500 * MIB, 100 * MIB))
    machine.write("sys/fs/cgroup/pod/memory.high", slows_at if slows_at == "max" else int(slows_at) * MIB)
    assert machine.tightest() == ("/pod", 400, limit)


def test_v2_in_a_namespace_of_its_own(machine: Machine) -> None:
    """A container sees its own cgroup as the root, which then has the files that the root of all lacks."""
    machine.v2("/")
    machine.write("sys/fs/cgroup/memory.max", 256 * MIB)
    machine.write("sys/fs/cgroup/memory.current", 128 * MIB)
    assert machine.tightest() == ("/", 128, 256)


def test_v2_path_outside_the_namespace(machine: Machine) -> None:
    """A process that was moved out of its namespace's root sees `/../…`; what is mounted is the best there is."""
    machine.v2("/../other")
    machine.write("sys/fs/cgroup/memory.max", 256 * MIB)
    machine.write("sys/fs/cgroup/memory.current", 128 * MIB)
    assert machine.tightest() == ("/", 128, 256)


def test_v1_own_and_ancestors(machine: Machine) -> None:
    """The older hierarchy, with its huge number for no limit."""
    machine.v1(
        "/docker/abc",
        _=(UNLIMITED_V1, 3 * GIB, 0),
        docker=(2 * GIB, 1 * GIB, 0),
        docker__abc=(512 * MIB, 500 * MIB, 60 * MIB),
    )
    assert machine.tightest() == ("/docker/abc", 440, 512)


def test_v1_unlimited_is_the_host(machine: Machine) -> None:
    """No limit in the older hierarchy either."""
    machine.v1("/", _=(UNLIMITED_V1, 3 * GIB, 0))
    assert machine.tightest()[0] == "host"


def test_v1_inside_a_container_without_a_namespace(machine: Machine) -> None:
    """There /proc tells the host's path, while the mount shows the container's own cgroup as its root."""
    machine.v1("/docker/abc", "/docker/abc", _=(512 * MIB, 256 * MIB, 0))
    assert machine.tightest() == ("/", 256, 512)


def test_no_cgroups_at_all(machine: Machine) -> None:
    """Then there is the host."""
    assert machine.tightest() == ("host", 4096, 16384)


def test_a_cgroup_that_vanishes_is_passed_over(machine: Machine) -> None:
    """Files may go away while they are read."""
    machine.v2("/pod/gone", pod=(512 * MIB, 100 * MIB, 0))
    assert machine.tightest()[0] != "/pod/gone"


def test_events_and_pressure_of_v2(machine: Machine) -> None:
    """Kills and stalls of the own cgroup, not of the host."""
    machine.v2("/pod", pod=("max", 1, 0))
    machine.write("proc/pressure/memory", "some avg10=90.00 avg60=0 avg300=0 total=0")
    machine.write("sys/fs/cgroup/pod/memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3")
    machine.write(
        "sys/fs/cgroup/pod/memory.pressure",
        "some avg10=1.25 avg60=0.10 avg300=0.00 total=5\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1",
    )
    assert cgroups.events(machine.root) == cgroups.MemoryEvents(3, 1.25, 0.5)


def test_events_of_v1_and_pressure_of_the_host(machine: Machine) -> None:
    """The older hierarchy counts kills too; pressure it does not know."""
    machine.v1("/app", app=(UNLIMITED_V1, 1, 0))
    machine.write("sys/fs/cgroup/memory/app/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4")
    machine.write("proc/pressure/memory", "some avg10=2.00 avg60=0 avg300=0 total=0")
    assert cgroups.events(machine.root) == cgroups.MemoryEvents(4, 2.0, None)


def test_nothing_known_is_none(machine: Machine) -> None:
    """An old kernel is no failure."""
    assert cgroups.events(machine.root) == cgroups.MemoryEvents(None, None, None)


def memory(machine: Machine, **options: object) -> Memory:
    config = MemoryConfig.model_validate({"kind": "memory", **options})
    return Memory(config, CheckContext("memory", HandClock(), {}), machine.root)


@pytest.mark.parametrize(
    ("used", "status"), [(409, Status.HEALTHY), (410, Status.DEGRADED), (460, Status.DEGRADED), (461, Status.UNHEALTHY)]
)
async def test_thresholds(machine: Machine, used: int, status: Status) -> None:
    """Degraded from 80 % and unhealthy from 90 % of the limit."""
    machine.v2("/pod", pod=(512 * MIB, used * MIB, 0))
    result = await memory(machine).probe()
    assert result.status is status
    assert result.observed["usage"] == round(used / 512 * 100, 1)
    assert result.observed["limitedBy"] == "/pod"
    assert result.kind is (None if status is Status.HEALTHY else FailureKind.EXHAUSTED)


async def test_a_kill_since_the_last_probe_is_degraded(machine: Machine) -> None:
    """Kills from before the daemon's time do not count; a new one does, once."""
    machine.v2("/pod", pod=(512 * MIB, 100 * MIB, 0))
    check, events = memory(machine), "sys/fs/cgroup/pod/memory.events"
    machine.write(events, "oom_kill 3")
    assert (await check.probe()).status is Status.HEALTHY
    machine.write(events, "oom_kill 5")
    result = await check.probe()
    assert (result.status, result.observed["oomKills"]) == (Status.DEGRADED, 5)
    assert "the kernel killed 2" in result.message
    assert (await check.probe()).status is Status.HEALTHY


async def test_this_machine() -> None:
    """On the machine at hand the figures are those of a running process."""
    check = Memory(MemoryConfig(), CheckContext("memory", HandClock(), {}))
    observed = (await check.probe()).observed
    used, limit, rss = observed["used"], observed["limit"], observed["rss"]
    assert isinstance(used, int)
    assert isinstance(limit, int)
    assert isinstance(rss, int)
    assert 0 < used <= limit
    assert rss == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, rel=0.5)


def test_degraded_above_unhealthy_is_refused() -> None:
    """It would never be seen; a lowered `unhealthy` alone is fine."""
    with pytest.raises(ValueError, match="must not be higher than unhealthy"):
        MemoryConfig.model_validate({"degraded": "95%", "unhealthy": "90%"})
    assert MemoryConfig.model_validate({"unhealthy": "70%"}).judge(0.75) is Status.UNHEALTHY


def test_what_the_kernel_takes_back_is_not_used(machine: Machine) -> None:
    """The cache of files, read often or not, and what of its own memory the kernel gives back: nothing was killed
    where 300 MB were asked for beside such a cache."""
    machine.v2("/app", app=(400 * MIB, 372 * MIB, 0))
    stat = f"anon {30 * MIB}\ninactive_file {2 * MIB}\nactive_file {325 * MIB}\nslab_reclaimable {5 * MIB}"
    machine.write("sys/fs/cgroup/app/memory.stat", stat)
    assert machine.tightest() == ("/app", 40, 400)


def test_a_mount_without_a_source_and_one_that_is_no_text(machine: Machine) -> None:
    """Neither hides the limit that stands after it."""
    machine.v2("/app", app=(400 * MIB, 100 * MIB, 0))
    odd = b"50 23 0:50 / /mnt/none rw - tmpfs  rw\n51 23 0:51 / /mnt/\xff rw - tmpfs tmpfs rw\n"
    (machine.root / "proc/self/mountinfo").write_bytes(odd + V2_MOUNT.encode() + b"\n")
    assert machine.tightest() == ("/app", 100, 400)
