"""Faults of the machine itself: full disks, hosts that vanish, and systemd's socket."""

import errno
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.servers import clock, netns, notify, tmpfs
from tests.servers.waiting import HANGS


def test_file_system_fills_up() -> None:
    """Space, inodes and writing each run out by themselves, and come back."""
    with tmpfs.mounted() as disk:
        disk.fill()
        assert os.statvfs(disk.path).f_bavail == 0
        disk.empty()
        assert os.statvfs(disk.path).f_bavail > 0
        disk.fill_inodes()
        assert os.statvfs(disk.path).f_favail == 0
        disk.empty()
        disk.make_read_only()
        with pytest.raises(OSError, match="Read-only") as error:
            (disk.path / "file").touch()
        assert error.value.errno == errno.EROFS
        disk.make_writable()
        (disk.path / "file").touch()
    assert not os.path.ismount(disk.path)


def test_host_vanishes_and_comes_back() -> None:
    """A host behind a link answers, then hangs without a refusal, then answers again; its namespace goes with it."""
    with netns.host() as host:
        with host.web() as server:
            url = f"http://{server.host}:{server.port}/"
            with urllib.request.urlopen(url, timeout=HANGS) as response:
                assert response.status == 200
            host.vanish()
            with pytest.raises(TimeoutError):
                socket.create_connection((server.host, server.port), timeout=0.2)
            host.come_back()
            with urllib.request.urlopen(url, timeout=HANGS) as response:
                assert response.status == 200
        assert Path(f"/sys/class/net/hd{host.anchor.pid}").exists()
    assert not Path(f"/proc/{host.anchor.pid}/ns/net").exists()


def test_clock_jumps(tmp_path: Path) -> None:
    """The wall clock of a running process jumps ahead and back, while its monotonic clock runs on."""
    reads = "import time\nwhile input(): print(time.time(), time.monotonic(), flush=True)"
    with (
        clock.jumping() as wall,
        subprocess.Popen(
            [sys.executable, "-c", reads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **wall.env},
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        for offset in (0, 3600, -3600, 0):
            wall.set(offset)
            process.stdin.write("now\n")
            process.stdin.flush()
            seen_wall, seen_monotonic = map(float, process.stdout.readline().split())
            assert seen_wall == pytest.approx(time.time() + offset, abs=5)
            assert seen_monotonic == pytest.approx(time.monotonic(), abs=5)
        process.kill()


async def test_service_notifies() -> None:
    """Datagrams are heard in their order."""
    with notify.listening() as systemd:
        environment = systemd.env(watchdog=2)
        assert environment["WATCHDOG_USEC"] == "2000000"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
            service.connect(environment["NOTIFY_SOCKET"])
            service.send(b"STATUS=starting")
            service.send(b"READY=1\nSTATUS=ready")
        assert await systemd.wait_for("READY=1") == "READY=1\nSTATUS=ready"
        assert systemd.received[0] == "STATUS=starting"
