"""A program that runs on this host: bounded time and output, without a shell, with everything that it starts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

LAST_WORDS = 0.5  # seconds in which what it wrote before its end is still read
_PIECE = 65_536


class ChildProcess:
    """One child process and everything that it starts: they share a process group of their own."""

    def __init__(self, *, keep: int, beginning: bool = False) -> None:
        """`keep` bytes of the output are kept: of its end, or of its `beginning`."""
        self._child: asyncio.subprocess.Process | None = None
        self._kept = bytearray()
        self._keep, self._beginning = keep, beginning

    async def to_the_end(
        self, words: list[str], cwd: Path, env: Mapping[str, str], ask_after: float, kill_after: float
    ) -> int | None:
        """Wait for the end of the process and return its exit code, None if it had to be killed. Raises OSError."""
        reading, writing = os.pipe()
        try:
            self._child = await asyncio.create_subprocess_exec(
                *words, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=writing, stderr=writing,
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        # A pipe of our own: a grandchild that keeps it open must not keep us waiting after the end of the child.
        reader = asyncio.create_task(self._read(reading), name="command-output")
        try:
            code = await self._wait(self._child, ask_after, kill_after)
            await asyncio.wait({reader}, timeout=LAST_WORDS)
            return code
        finally:
            reader.cancel()
            await asyncio.wait({reader})

    async def _wait(self, child: asyncio.subprocess.Process, ask_after: float, kill_after: float) -> int | None:
        try:
            async with asyncio.timeout(ask_after):
                return await child.wait()
        except TimeoutError:
            self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(kill_after - ask_after):
                await child.wait()
        self._signal(signal.SIGKILL)  # the group: what it started may have outlived it
        return None

    async def _read(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", 0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        try:
            while piece := await stream.read(_PIECE):
                self._kept += piece
                if len(self._kept) > self._keep:
                    del self._kept[slice(self._keep, None) if self._beginning else slice(None, -self._keep)]
        finally:
            transport.close()

    def kill(self) -> None:
        """Kill the child and its group if it has not exited by itself: a child that did exit may leave processes on
        purpose."""
        if self._child is not None and self._child.returncode is None:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    @property
    def output(self) -> str:
        """The end of the command's output."""
        return bytes(self._kept).decode("utf-8", "replace").strip()
