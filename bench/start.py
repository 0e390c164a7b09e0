"""From nothing to the first 200 of `/health/live`, and what is resident then, against a bare aiohttp server; with three
checks, and with `config/production.yaml`. And what the command line costs before it does anything, against importing
click alone.

`--before PATH` takes a checkout of another commit, whose start with `config/production.yaml` is measured in turns with
this one's.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

import aiohttp

from bench import daemon
from bench.process import serving
from bench.table import Row, show

_COMMANDS = [("healthd --help", ["--help"]), ("healthd gate verify --help", ["gate", "verify", "--help"])]
_ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
_PRODUCTION = {  # what config/production.yaml asks of its environment; nobody listens on port 1
    "MONGODB_URI": "mongodb://app:secret@127.0.0.1:1/app?replicaSet=rs0",
    "POSTGRESQL_URI": "postgresql://app:secret@127.0.0.1:1/app",
    "REDIS_URI": "redis://127.0.0.1:1/0",
    "STRIPE_SECRET_KEY": "sk_live_none",
    "SENDGRID_API_KEY": "SG.none",
    "AWS_REGION": "eu-central-1",
    "ALB_LISTENER_ARN": f"{_ELB}:listener/app/shop/50dc6c495c0c9188/0467ef3c",
    "BLUE_TARGET_GROUP_ARN": f"{_ELB}:targetgroup/blue/73e2d6bc24d8a067",
    "GREEN_TARGET_GROUP_ARN": f"{_ELB}:targetgroup/green/73e2d6bc24d8a06",
    "ALERTMANAGER_URL": "http://127.0.0.1:1",
}
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


@dataclass(frozen=True, slots=True)
class Start:
    """One start: until the first answer, until all is loaded, and the longest wait for an answer in between. In seconds
    and bytes."""

    first: float
    processor: float
    resident: int
    longest_wait: float
    processor_loaded: float
    resident_loaded: int


async def start_of_production(source: Path) -> Start:
    """Start the healthd of a checkout with its `config/production.yaml`."""
    text = (source / "config/production.yaml").read_text(encoding="utf-8")
    async with daemon.running_file(text, _PRODUCTION, "/health/live", source) as served:
        processor, resident = served.cpu_seconds(), served.resident_bytes()
        longest = await _longest_wait(served.url, served.url.replace("/health/live", "/openapi.json"))
        return Start(
            served.seconds_to_first_answer, processor, resident, longest, served.cpu_seconds(), served.resident_bytes()
        )


async def _longest_wait(asked: str, late: str) -> float:
    """Seconds of the longest of the answers that are asked for until the late one, which waits for all to be loaded."""
    longest = 0.0
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        loading = asyncio.create_task(session.get(late))
        while not loading.done():
            began = monotonic()
            async with session.get(asked):
                longest = max(longest, monotonic() - began)
            await asyncio.sleep(0.005)
        (await loading).release()
    return longest


async def _production(rounds: int, before: Path | None) -> list[Row]:
    sides: dict[Path, list[Start]] = {daemon.ROOT: [], **({before: []} if before else {})}
    for _ in range(rounds):
        for source, starts in sides.items():
            starts.append(await start_of_production(source))
    rows = []
    for name, unit, scale, field in [
        ("first answer after", "s", 1.0, "first"),
        ("processor time until then", "s", 1.0, "processor"),
        ("resident then", "MB", 1e-6, "resident"),
        ("longest wait for an answer until all is loaded", "ms", 1e3, "longest_wait"),
        ("processor time until all is loaded", "s", 1.0, "processor_loaded"),
        ("resident when all is loaded", "MB", 1e-6, "resident_loaded"),
    ]:
        digits = 2 if unit == "s" else 0
        one, *other = (median(getattr(start, field) for start in starts) * scale for starts in sides.values())
        said = [f"{value:.{digits}f} {unit}" for value in (one, *other)]
        ratio = one / other[0] if other else float("nan")
        aim = {"first": "< 0.7 s", "resident": "< 80 MB"}.get(field, "–")
        what = f"cold start with config/production.yaml: {name}"
        rows.append(Row(what, said[0], said[1] if other else "–", ratio, aim))
    return rows


async def measure(rounds: int = 5, before: Path | None = None) -> list[Row]:
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
    return [*rows, *await _production(rounds, before), *_commands(rounds)]


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
    parser.add_argument("--before", type=Path, metavar="PATH", help="a checkout to compare with")
    parser.add_argument("--bare", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_server(options.bare)
    else:
        show(asyncio.run(measure(options.rounds, options.before and options.before.resolve())))


if __name__ == "__main__":
    main()
