"""From nothing to the first 200 of `/health/live`, and what is resident then, against a bare aiohttp server. And what
the command line costs before it does anything, against importing click alone."""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
from statistics import median

from bench import daemon
from bench.process import serving
from bench.table import Row, show

_COMMANDS = [("healthd --help", ["--help"]), ("healthd gate verify --help", ["gate", "verify", "--help"])]
_CHECKS = "  self: {kind: process}\n  memory: {kind: memory}\n  disk: {kind: disk}"


def bare_server(port: int) -> None:
    from aiohttp import web

    async def alive(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    app = web.Application()
    app.router.add_get("/health/live", alive)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def bare_command(port: int) -> list[str]:
    return [sys.executable, "-m", "bench.start", "--bare", str(port)]


async def measure(rounds: int = 5) -> list[Row]:
    ours, theirs = [], []
    for _ in range(rounds):
        async with daemon.running(_CHECKS, "/health/live") as served:
            ours.append((served.seconds_to_first_answer, served.cpu_seconds(), served.resident_bytes()))
        async with serving(bare_command, "/health/live") as served:
            theirs.append((served.seconds_to_first_answer, served.cpu_seconds(), served.resident_bytes()))
    rows = []
    for column, (name, unit, scale) in enumerate(
        [("first answer after", "s", 1.0), ("processor time until then", "s", 1.0), ("resident then", "MB", 1e-6)]
    ):
        one, other = (median(found[column] for found in side) * scale for side in (ours, theirs))
        digits = 2 if unit == "s" else 0
        what = f"cold start, against a bare aiohttp server: {name}"
        rows.append(Row(what, f"{one:.{digits}f} {unit}", f"{other:.{digits}f} {unit}", one / other, "–"))
    return [*rows, *_commands(rounds)]


def _commands(rounds: int) -> list[Row]:
    bare, rows = [sys.executable, "-c", "import click"], []
    for name, words in _COMMANDS:
        command = [sys.executable, "-m", "healthd", *words]
        seconds = [(_processor_seconds(command), _processor_seconds(bare)) for _ in range(rounds)]
        one, other = (median(column) for column in zip(*seconds, strict=True))
        what = f"`{name}`: processor time, against importing click"
        rows.append(Row(what, f"{one:.2f} s", f"{other:.2f} s", one / other, "–"))
    return rows


def _processor_seconds(command: list[str]) -> float:
    """What a command uses from its start to its end, in user and system mode."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bare", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_server(options.bare)
    else:
        show(asyncio.run(measure(options.rounds)))


if __name__ == "__main__":
    main()
