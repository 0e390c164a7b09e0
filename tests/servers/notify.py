"""The socket on which systemd hears READY=1, WATCHDOG=1 and STOPPING=1 from a service."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class NotifySocket:
    """What a service sent so far, in `received`, one datagram an entry."""

    def __init__(self, path: Path, receiver: socket.socket) -> None:
        self.path = path
        self.received: list[str] = []
        self._receiver = receiver

    def env(self, watchdog: float | None = None) -> Mapping[str, str]:
        """What systemd puts into the service's environment; `watchdog` is in seconds."""
        # The pid that systemd gives as well is not known before the start, and optional.
        usec = {"WATCHDOG_USEC": str(int(watchdog * 1_000_000))} if watchdog is not None else {}
        return {"NOTIFY_SOCKET": str(self.path), **usec}

    async def wait_for(self, field: str, timeout: float = 60.0) -> str:
        """The next datagram with the line `field`, such as "READY=1"; raises TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout):
            while True:
                datagram = (await loop.sock_recv(self._receiver, 4096)).decode()
                self.received.append(datagram)
                if field in datagram.splitlines():
                    return datagram


@contextmanager
def listening() -> Iterator[NotifySocket]:
    """A socket for one service."""
    with (
        tempfile.TemporaryDirectory(prefix="healthd-notify-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        path = Path(folder, "notify")
        receiver.bind(str(path))
        receiver.setblocking(False)
        yield NotifySocket(path, receiver)
