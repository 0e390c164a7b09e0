"""500 HTTP checks at 10 s: processor time and memory of the daemon over a minute."""

from __future__ import annotations

import argparse
import asyncio
from urllib.request import urlopen

from bench import daemon, target
from bench.process import Served
from bench.table import Row, show

CHECKS, INTERVAL = 500, 10
MOST_CORES, MOST_BYTES = 0.25, 150e6
_SCRAPE_EVERY = 15.0


def checks(origin: str) -> str:
    options = f"kind: http, interval: {INTERVAL}s, timeout: 2s"
    return "\n".join(f"  c{number}: {{{options}, url: '{origin}/many/{number}'}}" for number in range(CHECKS))


async def used(served: Served, seconds: float) -> float:
    """Processor seconds over `seconds`, in which it is also scraped as Prometheus would."""
    loop, before = asyncio.get_running_loop(), served.cpu_seconds()
    end = loop.time() + seconds
    metrics = served.url.replace("/health/live", "/metrics")
    while (left := end - loop.time()) > 0:
        await asyncio.to_thread(lambda: urlopen(metrics).read())
        await asyncio.sleep(min(_SCRAPE_EVERY, left))
    return served.cpu_seconds() - before


async def measure(seconds: float = 60) -> list[Row]:
    async with target.running() as peer, daemon.running(checks(peer.origin), "/health/live") as served:
        await asyncio.sleep(INTERVAL)  # all have run once
        hits = peer.hits("many")
        cores = await used(served, seconds) / seconds
        rate = (peer.hits("many") - hits) / seconds
        resident = served.resident_bytes()
    what = f"{CHECKS} HTTP checks at {INTERVAL} s ({rate:.0f} probes a second seen)"
    return [
        Row(f"{what}: processor", f"{cores:.3f} cores", f"{MOST_CORES} cores", cores / MOST_CORES, "< 1"),
        Row(f"{what}: memory", f"{resident / 1e6:.0f} MB", f"{MOST_BYTES / 1e6:.0f} MB", resident / MOST_BYTES, "< 1"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    show(asyncio.run(measure(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
