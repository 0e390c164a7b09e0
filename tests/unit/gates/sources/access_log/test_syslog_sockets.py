"""The thread that syslog is read in leaves the event loop its turn, whatever comes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from healthd_gates.sources.access_log.syslog_sockets import Sockets
from tests.servers.ports import HOST, free_port


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_flood_takes_half_a_core_at_most(scheme: str) -> None:
    """By what the thread itself has worked in the time that it was there: a busy machine only makes that less."""
    shares: list[float] = []
    began: list[tuple[float, float]] = []
    enough = threading.Event()

    def take(_: bytes) -> None:
        if not began:
            began.append((time.monotonic(), time.thread_time()))
        worked, there = time.thread_time() - began[0][1], time.monotonic() - began[0][0]
        if worked > 0.1:
            shares.append(worked / there)
            enough.set()

    port = free_port()
    sockets = Sockets(f"{scheme}://{HOST}:{port}", take, lambda _: None)
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as sender:
        sender.connect((HOST, port))
        while not enough.is_set():
            sender.send(b"<190>Nov 26 13:00:00 shop nginx: a line\n" * (1 if scheme == "udp" else 100))
    sockets.close()
    assert shares[0] < 0.6
