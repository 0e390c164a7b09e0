"""5,000 HTTP checks at 30 s, spread over four processes: processor time and memory of each, and what is overdue."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.request import urlopen

from bench import target
from bench.process import Served, serving
from bench.table import Row, show

CHECKS, PROCESSES, INTERVAL = 5000, 4, 30
MOST_CORES, MOST_BYTES = 0.25, 250e6
_SCRAPE_EVERY = 15.0


def configuration(port: int, folder: str, origin: str) -> str:
    options = f"kind: http, interval: {INTERVAL}s, timeout: 5s, spread: 1"
    lines = (f"  c{number}: {{{options}, url: '{origin}/spread/{number}'}}" for number in range(CHECKS))
    return f"http: {{listen: 127.0.0.1:{port}}}\njournal: sqlite:///{folder}/healthd.db\nchecks:\n" + "\n".join(lines)


async def replica(stack: AsyncExitStack, folder: str, origin: str) -> Served:
    def command(port: int) -> list[str]:
        file = Path(folder, f"{port}.yaml")
        file.write_text(configuration(port, folder, origin))
        return [sys.executable, "-m", "healthd", "run", "--config", str(file)]

    return await stack.enter_async_context(serving(command, "/health/live"))


async def scraped(served: Served) -> str:
    metrics = served.url.replace("/health/live", "/metrics")
    body: bytes = await asyncio.to_thread(lambda: urlopen(metrics).read())
    return body.decode()


async def counted(all_of_them: Sequence[Served], pattern: str) -> list[int]:
    """The sum of what the metrics match, of each."""
    return [sum(float(it) for it in re.findall(pattern, await scraped(each), re.MULTILINE)) for each in all_of_them]  # type: ignore[misc]


async def measure(seconds: float = 60) -> list[Row]:
    unknown = r'^healthd_check_status\{.*status="unknown"\} (\S+)'
    async with target.running() as peer, AsyncExitStack() as stack:
        with tempfile.TemporaryDirectory() as folder:
            replicas = [await replica(stack, folder, peer.origin) for _ in range(PROCESSES)]
            for _ in range(120):
                if not sum(await counted(replicas, unknown)):
                    break
                await asyncio.sleep(5)
            await asyncio.sleep(INTERVAL)
            here = await counted(replicas, r'^healthd_spread_checks\{runs="here"\} (\S+)')
            loop = asyncio.get_running_loop()
            began, hits, used = loop.time(), peer.hits("spread"), [it.cpu_seconds() for it in replicas]
            overdue = []
            while loop.time() - began < seconds:
                await asyncio.sleep(_SCRAPE_EVERY)
                overdue += await counted(replicas, unknown)
            took = loop.time() - began  # a scrape takes its time
            rate = (peer.hits("spread") - hits) / took
            cores = max((it.cpu_seconds() - before) / took for it, before in zip(replicas, used, strict=True))
            resident = max(it.resident_bytes() for it in replicas)
            await stack.aclose()
    what = f"{CHECKS} HTTP checks at {INTERVAL} s over {PROCESSES} processes"
    shares = f"{min(here)} to {max(here)} each, {rate:.0f} probes a second in all"
    most, memory = f"{MOST_CORES} cores", f"{MOST_BYTES / 1e6:.0f} MB"
    return [
        Row(f"{what} ({shares}): processor of the busiest", f"{cores:.3f} cores", most, cores / MOST_CORES, "< 1"),
        Row(f"{what}: memory of the largest", f"{resident / 1e6:.0f} MB", memory, resident / MOST_BYTES, "< 1"),
        Row(f"{what}: overdue or unknown, on any of them", f"{max(overdue)}", "0", float(max(overdue)), "< 1"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    show(asyncio.run(measure(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
