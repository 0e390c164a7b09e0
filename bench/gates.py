"""A thousand gates in flight on one core: CPU share, how late looks come, and how soon a gate can be read meanwhile.

Traffic is made up in the process, so that what is measured is the keeping, judging and storing of gates. Each gate is
judged on an error rate and a latency quantile over a histogram, with `--five` also on a ratio, a rate and a value of
its own, and stored at every look, on SQLite with full sync.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, ClassVar, Literal

import aiohttp
import psutil
from aiohttp import web
from prometheus_client import CollectorRegistry

from bench.process import free_port
from healthd.config.in_force import InForce
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.monitoring.board import Board
from healthd.runtime.clock import SystemClock
from healthd.runtime.loop import run
from healthd.web.auth import Guard
from healthd_gates import sources
from healthd_gates.api.rate_limit import Rate
from healthd_gates.app import Gates
from healthd_gates.config.settings import Config
from healthd_gates.domain.evidence import Counts, Events, Evidence, Histogram, Numbers, Stream, Values
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.engine.ticker import Ticker
from healthd_gates.router import GateApi
from healthd_gates.sources.contract import Cursor, Look, Series, SourceConfig, SourceContext
from healthd_gates.store import tables as gate_tables

EVERY = 5.0
_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
_READS_PER_SECOND = 50


class MadeUpConfig(SourceConfig):
    kind: Literal["made_up"] = "made_up"

    def check_series(self, series: Series) -> None:
        """Make up any series."""


class MadeUp:
    """Some hundred requests a look, one in two hundred an error."""

    config_model: ClassVar[type[SourceConfig]] = MadeUpConfig

    def __init__(self, _config: MadeUpConfig, _arms: Any, context: SourceContext) -> None:
        self._series = context.series

    async def observe(self, since: Cursor | None) -> Look:
        if since is None:
            return Look(None, {"looks": 0})
        counts = (*(float(random.randrange(60)) for _ in _EDGES[:-3]), 0.0, 0.0, 0.0)
        requests = sum(counts)
        seen = Counts(requests, sum(random.random() < 0.005 for _ in range(int(requests))), Histogram(_EDGES, counts))
        streams = {each.stream: Stream(_made_up(each, requests)) for each in self._series}
        return Look(Evidence(datetime.now(UTC), EVERY, seen, streams=streams), {"looks": since["looks"] + 1})

    async def close(self) -> None: ...


def _made_up(series: Series, requests: float) -> Numbers:
    if series.shape == "counts":
        return Counts(requests // 10, sum(random.random() < 0.01 for _ in range(int(requests // 10))))
    if series.shape == "events":
        return Events(float(random.random() < 0.2))
    return Values((random.gauss(100.0, 10.0),))


_OWN: list[dict[str, Any]] = [
    {"kind": "ratio", "name": "checkouts", "of": "of", "bad": "bad", "limit": 0.05},
    {"kind": "rate", "name": "log_errors", "events": "events", "limit": 0.5},
    {"kind": "value", "name": "queue", "value": "value", "max": 500},
]


async def serve(port: int, gates: int, folder: Path, *, five: bool) -> None:
    """Run that many gates until killed; at `/lateness` the lateness of the ticks since it was asked before."""
    sources.KINDS["made_up"] = "bench.gates:MadeUp"
    services = {f"service-{n}": {"source": {"kind": "made_up"}, "policy": "bench"} for n in range(gates)}
    criteria: list[dict[str, Any]] = [{"kind": "error_rate"}, {"kind": "latency", "limit": "2500ms"}]
    criteria += _OWN if five else []
    policy = {"interval": f"{EVERY:g}s", "observe": {"min": "1h", "max": "2h"}, "criteria": criteria}
    config = Config.model_validate(
        {
            "services": services,
            "policies": {"bench": policy},
            "http": {"listen": f"127.0.0.1:{port}"},
            "auth": {"trust_loopback": True},
        }
    )
    clock, late = SystemClock(), _recorded_lateness()
    database = Database(f"sqlite:///{folder}/journal.db", clock, (tables.BRANCH, gate_tables.BRANCH))
    await database.open()
    in_force = InForce(config)
    kept = Gates(
        in_force, database=database, board=Board(clock), clock=clock, registry=CollectorRegistry(), redact=str,
        listener=lambda _before, _after: None,
    )  # fmt: skip

    async def lateness(_request: web.Request) -> web.Response:
        said = web.json_response(late)
        late.clear()
        return said

    api = GateApi(kept.gate_service, kept.runs, Guard(in_force), clock, Rate(per_second=10_000, burst=10_000))
    app = web.Application()
    app.add_routes([*api.routes(), web.get("/lateness", lateness)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    running = asyncio.create_task(kept.run())
    for name in services:
        await kept.gate_service.start(VerifyRequest(service=name, candidate=Version(version="2.0")), caller="bench")
        await asyncio.sleep(EVERY / gates)
    await running


def _recorded_lateness() -> list[float]:
    """Filled with the seconds by which every tick comes late, finer than the metric has them."""
    late: list[float] = []
    wait = Ticker.wait

    async def recording(ticks: Ticker) -> float:
        late.append(await wait(ticks))
        return late[-1]

    setattr(Ticker, "wait", recording)  # noqa: B010
    return late


async def measure(port: int, pid: int, seconds: float, gates: int) -> None:
    process = psutil.Process(pid)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        ids = await _all_in_flight(session, gates)
        await asyncio.sleep(2 * EVERY)
        await _json(session, "/lateness")
        before, start = process.cpu_times(), monotonic()
        taken = []
        while (now := monotonic()) - start < seconds:
            asked = perf_counter()
            await _json(session, f"/gates/{random.choice(ids)}")
            taken.append(perf_counter() - asked)
            await asyncio.sleep(max(0.0, 1 / _READS_PER_SECOND - (monotonic() - now)))
        after, passed = process.cpu_times(), monotonic() - start
        late = await _json(session, "/lateness")
    used = (after.user - before.user + after.system - before.system) / passed
    print(f"{gates} gates, a look every {EVERY:g} s, for {passed:.0f} s")
    print(f"CPU share of one core         {used:8.1%}")
    print(f"looks                         {len(late) / passed:8.1f} /s of {gates / EVERY:.1f} due")
    print(f"processor time of a look      {used * passed / len(late) * 1000:8.2f} ms, with {len(taken)} reads beside")
    for name, values in (("a look comes late", late), ("GET /gates/{id} takes", taken)):
        low, high = statistics.median(values), statistics.quantiles(values, n=100)[98]
        print(f"{name:24} p50 {low * 1000:8.1f} ms   p99 {high * 1000:8.1f} ms   max {max(values) * 1000:8.1f} ms")
    print(f"memory                        {process.memory_info().rss / 2**20:8.0f} MiB")


async def _all_in_flight(session: aiohttp.ClientSession, gates: int) -> list[str]:
    """The ids, once all gates have started. To list them is work too, which must not keep them from starting."""
    while True:
        await asyncio.sleep(2 * EVERY)
        ids: list[str] = []
        before = ""
        while True:
            page = await _json(session, f"/gates?limit=100{before}")
            ids += [gate["id"] for gate in page["gates"]]
            if not page.get("next"):
                break
            before = f"&before={page['next']}"
        if len(ids) == gates:
            return ids


async def _json(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return json.loads(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--five", action="store_true", help="five criteria a gate instead of two")
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        run(serve(int(chosen.serve[0]), chosen.gates, Path(chosen.serve[1]), five=chosen.five))
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.gates", "--gates", str(chosen.gates), "--serve", str(port), folder]
        command += ["--five"] if chosen.five else []
        server = subprocess.Popen(command)
        try:
            asyncio.run(_when_up(port, server.pid, chosen.seconds, chosen.gates))
        finally:
            server.kill()
            server.wait()


async def _when_up(port: int, pid: int, seconds: float, gates: int) -> None:
    while True:
        try:
            await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.1)
    await measure(port, pid, seconds, gates)


if __name__ == "__main__":
    main()
