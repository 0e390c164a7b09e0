"""`/health/ready` with 50 checks against a bare aiohttp handler that answers with the same bytes.

Both are served by their own process; wrk loads them in turns, so that a drift of the machine hits both. The rate is
what a client sees; the processor time of a request is what it costs, whoever else uses the machine meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from urllib.request import urlopen

from bench import daemon
from bench.process import Served, serving
from bench.table import Row, show

CHECKS = 50
_SET_BY_AIOHTTP = {"Connection", "Content-Length", "Date", "Server"}


def bare_handler(port: int, url: str) -> None:
    """Serve the body of `url`, fetched once, from a handler that does nothing else."""
    from aiohttp import web

    with urlopen(url) as answer:
        body = answer.read()
        headers = {name: value for name, value in answer.headers.items() if name not in _SET_BY_AIOHTTP}

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    app = web.Application()
    app.router.add_get("/health/ready", handler)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


@dataclass(frozen=True, slots=True)
class Load:
    """What one round of wrk showed: requests a second, and processor seconds of the server for each."""

    rate: float
    cost: float


def load(served: Served, seconds: int) -> Load:
    before = served.cpu_seconds()
    done = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", served.url], capture_output=True, text=True, check=True
    )
    used = served.cpu_seconds() - before
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    count = re.search(r"(\d+) requests in", done.stdout)
    assert rate, done.stdout
    assert count, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    return Load(float(rate[1]), used / int(count[1]))


async def measure(rounds: int = 5, seconds: int = 2) -> list[Row]:
    checks = "\n".join(f"  check-{number}: {{kind: process, critical: true}}" for number in range(CHECKS))
    async with daemon.running(checks) as healthd:
        bare_command = [sys.executable, "-m", "bench.ready", "--bare", healthd.url]
        async with serving(lambda port: [*bare_command, str(port)], "/health/ready") as bare:
            for served in (healthd, bare):
                load(served, 1)  # to warm up
            pairs = [(load(healthd, seconds), load(bare, seconds)) for _ in range(rounds)]
    ours, theirs = zip(*pairs, strict=True)
    what = f"/health/ready with {CHECKS} checks, against a bare handler of the same bytes"
    return [
        Row(
            f"{what}: rate",
            f"{median(load.rate for load in ours):,.0f}/s",
            f"{median(load.rate for load in theirs):,.0f}/s",
            median(one.rate / other.rate for one, other in pairs),
            "≥ 0.95",
        ),
        Row(
            f"{what}: processor time",
            f"{median(load.cost for load in ours) * 1e6:.1f} µs",
            f"{median(load.cost for load in theirs) * 1e6:.1f} µs",
            median(one.cost / other.cost for one, other in pairs),
            "≤ 1.05",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--bare", nargs=2, metavar=("URL", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_handler(int(options.bare[1]), options.bare[0])
    else:
        show(asyncio.run(measure(options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
