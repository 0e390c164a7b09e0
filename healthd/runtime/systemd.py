"""Report the daemon's state to systemd: sd_notify(3). Without a service manager nothing is sent."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """Socket in NOTIFY_SOCKET, when there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.patience = _patience(environ)
        """Seconds after which the manager ends a service that sent no keep-alive; None when it does not."""

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        """Report a reload; `ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), self._address)
        except OSError:  # a manager that does not listen must not cause a failure
            return


def _patience(environ: Mapping[str, str]) -> float | None:
    asked = environ.get("WATCHDOG_USEC", "")
    for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(asked) / 1_000_000 if for_us and asked.isdecimal() and int(asked) else None
