"""A load generator with a log of its own, as a process: `python load.py LOG URL SHOP=RATE…`.

It is an open loop: requests leave on schedule whatever becomes of those before. It is bounded: in how many are under
way, and in how long it runs. A line of the log is `DONE SHOP VERSION STATUS SECONDS`, DONE in seconds since 1970.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.servers.process import Process, own_folder
from tests.servers.requests import Client, connections

_UNDER_WAY = 60  # to each shop; NGINX has room for all of them
_LONGEST = 240.0  # seconds
_TICK = 0.01


@dataclass(frozen=True)
class Served:
    """One request that was answered."""

    done: float
    shop: str
    version: str
    status: int
    seconds: float


@dataclass
class Log:
    """What the load generator wrote so far; `news` is what came since it was last asked."""

    file: Path
    _read: int = 0
    _kept: list[Served] = field(default_factory=list)

    def news(self) -> list[Served]:
        with self.file.open() as lines:
            lines.seek(self._read)
            text = lines.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole)
        found = [_served(line) for line in whole.splitlines()]
        self._kept += found
        return found

    def all(self) -> list[Served]:
        self.news()
        return self._kept

    def count(self, shop: str, version: str, since: float, until: float) -> tuple[int, int]:
        """Requests that were done between two moments, and those of them that failed."""
        seen = [one for one in self.all() if (one.shop, one.version) == (shop, version) and since < one.done <= until]
        return len(seen), sum(one.status >= 500 for one in seen)


@contextmanager
def running(url: str, rates: Mapping[str, float]) -> Iterator[Log]:
    """Requests to `url/SHOP/`, so many a second to each."""
    with own_folder() as folder:
        file = folder / "requests"
        argv = [sys.executable, __file__, file, url, *(f"{shop}={rate}" for shop, rate in rates.items())]
        process = Process(argv, lambda _: file.exists(), log=folder / "log")
        process.start()
        try:
            yield Log(file)
        finally:
            process.kill()


def _served(line: str) -> Served:
    done, shop, version, status, seconds = line.split(" ")
    return Served(float(done), shop, version, int(status), float(seconds))


class _Lane:
    """The traffic of one shop."""

    def __init__(self, client: Client, url: str, shop: str, log: TextIO) -> None:
        self._client, self._url, self._shop, self._log = client, f"{url}/{shop}/", shop, log
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, end: float) -> None:
        begun, sent = time.monotonic(), 0
        while (now := time.monotonic()) < end:
            while sent < (now - begun) * rate:
                sent += 1
                if len(self._under_way) < _UNDER_WAY:
                    task = asyncio.create_task(self._send())
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(_TICK)

    async def _send(self) -> None:
        begun = time.monotonic()
        try:
            answer = await self._client.get(self._url)
            version, status = answer.fields.get("x-version", "none"), answer.status
        except OSError:
            version, status = "none", 0
        self._log.write(f"{time.time()} {self._shop} {version} {status} {time.monotonic() - begun}\n")


async def _generate(file: str, url: str, *rates: str) -> None:
    with open(file, "w", buffering=1) as log, connections() as client:  # noqa: PTH123
        async with asyncio.TaskGroup() as lanes:
            for shop, _, rate in (said.partition("=") for said in rates):
                lanes.create_task(_Lane(client, url, shop, log).run(float(rate), time.monotonic() + _LONGEST))


if __name__ == "__main__":
    asyncio.run(_generate(*sys.argv[1:]))
