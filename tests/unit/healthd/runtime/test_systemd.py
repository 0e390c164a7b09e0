"""sd_notify, to a plain datagram socket."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthd.runtime.systemd import ServiceManager


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(2)
        yield receiver


def test_states(heard: socket.socket) -> None:
    """Each state is one datagram; a reload carries the time at which it began."""
    manager = ServiceManager({"NOTIFY_SOCKET": heard.getsockname()})
    for tell, said in (
        (manager.ready, "READY=1"),
        (manager.alive, "WATCHDOG=1"),
        (manager.stopping, "STOPPING=1"),
    ):
        tell()
        assert heard.recv(100).decode() == said
    manager.reloading()
    state, moment = heard.recv(100).decode().splitlines()
    assert state == "RELOADING=1"
    assert abs(int(moment.removeprefix("MONOTONIC_USEC=")) / 1e6 - time.monotonic()) < 5


def test_abstract_sockets() -> None:
    """An address that begins with @ is in Linux's abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0healthd-test-{os.getpid()}")
        receiver.settimeout(2)
        ServiceManager({"NOTIFY_SOCKET": f"@healthd-test-{os.getpid()}"}).ready()
        assert receiver.recv(100) == b"READY=1"


def test_nobody_listens(tmp_path: Path) -> None:
    """Neither a missing manager nor a dead one is an error."""
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


@pytest.mark.parametrize(
    ("environ", "patience"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_patience(environ: dict[str, str], patience: float | None) -> None:
    """The watchdog's interval counts when it is meant for this process."""
    assert ServiceManager(environ).patience == patience
