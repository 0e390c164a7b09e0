"""`/health/ready` with 50 checks against a bare aiohttp handler that answers with the same bytes.

Both are served by their own process; wrk loads them in turns, so that a drift of the machine hits both.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent
from urllib.request import urlopen

from bench.process import serving

CHECKS = 50
_SET_BY_AIOHTTP = {"Connection", "Content-Length", "Date", "Server"}


def config(port: int) -> str:
    names = [f"check-{number}" for number in range(CHECKS)]
    checks = "\n".join(f"  {name}: {{kind: process, critical: true}}" for name in names)
    return f"http: {{listen: 127.0.0.1:{port}}}\nchecks:\n{checks}\n"


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


def requests_per_second(url: str, seconds: int) -> float:
    done = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", url], capture_output=True, text=True, check=True)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


async def compare(rounds: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "healthd.yaml")
        async with serving(
            lambda port: (file.write_text(config(port)), [sys.executable, "-m", "healthd", "run", "-c", str(file)])[1],
            "/health/ready",
        ) as healthd:
            bare_command = [sys.executable, "-m", "bench.ready", "--bare", healthd.url]
            async with serving(lambda port: [*bare_command, str(port)], "/health/ready") as bare:
                pairs = [
                    (requests_per_second(healthd.url, seconds), requests_per_second(bare.url, seconds))
                    for _ in range(rounds)
                ]
    ratios = [ours / theirs for ours, theirs in pairs]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        dedent(f"""\
        /health/ready with {CHECKS} checks   {ours:10,.0f} requests/s
        bare handler, same bytes      {theirs:10,.0f} requests/s
        ratio (median of {rounds} pairs)      {statistics.median(ratios):10.3f}   aim ≥ 0.95""")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--bare", nargs=2, metavar=("URL", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_handler(int(options.bare[1]), options.bare[0])
    else:
        asyncio.run(compare(options.rounds, options.seconds))


if __name__ == "__main__":
    main()
