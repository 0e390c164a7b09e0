"""The daemon while everything around it hangs, dies or lies about the time."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import clock, daemon, tcp
from tests.servers.daemon import Daemon
from tests.servers.lateness import Lateness
from tests.servers.waiting import until

TIMEOUT = 0.7
OVERRUN = 0.25


def hung_checks(port: int, deaf: int) -> dict[str, Any]:
    """Two dozen checks of every kind that talks to somebody; nobody ever answers any of them."""
    at = f"127.0.0.1:{port}"
    kinds: list[dict[str, Any]] = [
        {"kind": "postgresql", "uri": f"postgresql://app:pw@{at}/app"},
        {"kind": "redis", "uri": f"redis://:pw@{at}/0"},
        {"kind": "mongodb", "uri": f"mongodb://app:pw@{at}/?directConnection=true"},
        {"kind": "http", "url": f"http://{at}/"},
        {"kind": "http", "url": f"http://{at}/", "keep_alive": True},
        {"kind": "stripe", "key": "sk_live_4eC39HqLyj", "base_url": f"http://{at}"},
        {"kind": "sendgrid", "key": "SG.4eC39HqLyj", "base_url": f"http://{at}"},
        {"kind": "tls", "host": "127.0.0.1", "port": port},
        {"kind": "tcp", "host": "127.0.0.1", "port": port, "expect": "hello"},
        {"kind": "tcp", "host": "127.0.0.1", "port": deaf},
        {"kind": "http", "url": f"http://127.0.0.1:{deaf}/"},
        {"kind": "redis", "uri": f"redis://127.0.0.1:{deaf}/0"},
    ]
    paced = {"interval": "900ms", "timeout": f"{TIMEOUT}s", "fast_interval": "900ms", "critical": True}
    return {f"{check['kind']}-{place}": {**check, **paced} for place, check in enumerate(kinds * 2)}


async def get(session: aiohttp.ClientSession, server: Daemon, path: str) -> tuple[int, Any, float]:
    """Code, body and the seconds that it took."""
    start = time.perf_counter()
    async with session.get(server.url + path) as response:
        body = await response.read()
        return response.status, json.loads(body) if path != "/metrics" else body.decode(), time.perf_counter() - start


def footprint(process: psutil.Process) -> tuple[int, int, int]:
    """Threads, open files and sockets, resident bytes."""
    return process.num_threads(), process.num_fds(), process.memory_info().rss


async def test_everything_hangs(tmp_path: Path) -> None:
    """Endpoints answer at once, nothing grows, no probe overruns its deadline, and the daemon still stops."""
    async with tcp.proxy(9) as hole, aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        hole.black_hole()
        with tcp.unconnectable() as deaf:
            settings = {
                "checks": hung_checks(hole.port, deaf.port),
                "http": {"details": "always", "drain": "200ms"},
                "journal": f"sqlite:///{tmp_path}/journal.db",
            }
            async with daemon.running(settings) as server:
                late = stack.enter_context(Lateness(server.pid))
                process = psutil.Process(server.pid)
                took, durations = [], []
                for look in range(400):
                    status, body, seconds = await get(session, server, "/health/ready")
                    assert status == 503
                    took.append(seconds)
                    durations += [check.get("duration", 0.0) / 1000 for check in body["checks"].values()]
                    if look == 100:
                        before = footprint(process)
                    await asyncio.sleep(0.02)
                after = footprint(process)
                assert (await get(session, server, "/health/live"))[0] == 200
                p99, longest = sorted(took)[int(len(took) * 0.99)], max(durations)
                print(f"ready p99 {p99 * 1000:.1f} ms; threads, files, bytes: {before} → {after}")
                print(f"longest probe {longest:.3f} s; the machine was late by {late.during(longest):.3f} s meanwhile")
                assert p99 < 0.25 + late.during(p99)  # a hung probe would cost its whole timeout
                assert longest <= TIMEOUT + OVERRUN + late.during(longest)
                assert after[0] <= before[0] + 8  # the pool of threads fills as it is used; a leak would be one a probe
                assert after[1] <= before[1] + 30  # connections of two dozen probes come and go
                assert after[2] <= before[2] + 15_000_000
                assert {check["kind"] for check in body["checks"].values()} == {"timeout"}
                assert probes((await get(session, server, "/metrics"))[1]) > 24 * 5
                stopping = time.perf_counter()
                assert await server.stop() == 0
                assert time.perf_counter() - stopping < 6 + late.seconds
                assert '"level": "error"' not in server.log(), server.log()[-3000:]


def probes(text: str) -> float:
    """How many there were."""
    families = [f for f in text_string_to_metric_families(text) if f.name == "healthd_probe_duration_seconds"]
    return sum(sample.value for family in families for sample in family.samples if sample.name.endswith("_count"))


KILLER = """
import gc, os, threading, time

def kill():
    while not os.path.exists(os.environ["KILL_WHEN"]):
        time.sleep(0.02)
    from apscheduler.schedulers.asyncio import AsyncIOScheduler
    gc.unfreeze()
    for scheduler in [thing for thing in gc.get_objects() if isinstance(thing, AsyncIOScheduler)]:
        scheduler._eventloop.call_soon_threadsafe(scheduler.pause)

threading.Thread(target=kill, daemon=True).start()
"""


async def test_a_dead_scheduler_turns_ready_red(tmp_path: Path) -> None:
    """Within the freshness limit, and says that the check is overdue: nothing that is not looked at stays green."""
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    env = {"PYTHONPATH": str(tmp_path), "KILL_WHEN": str(tmp_path / "kill")}
    check = {"kind": "process", "critical": True, "interval": "500ms", "timeout": "300ms"}
    settings = {"checks": {"here": check}, "http": {"details": "always"}, "journal": f"sqlite:///{tmp_path}/journal.db"}
    async with daemon.running(settings, env=env) as server, aiohttp.ClientSession() as session:

        async def code() -> int:
            return (await get(session, server, "/health/ready"))[0]

        async def is_ready() -> bool:
            return await code() == 200

        async def is_red() -> bool:
            return await code() == 503

        await until(is_ready, "ready once")
        await asyncio.sleep(2.5)
        assert await code() == 200
        with Lateness(server.pid) as late:
            (tmp_path / "kill").touch()
            killed = time.monotonic()
            await until(is_red, "red")
            set_ahead = 2.5  # seconds for which runs have their timers
            assert time.monotonic() - killed < 3 * 0.5 + set_ahead + 0.3 + 1.0 + late.seconds
        _, body, _ = await get(session, server, "/health/ready")
        assert body["checks"]["here"]["overdue"] is True
        assert (await get(session, server, "/health/live"))[0] == 200
        _, metrics, _ = await get(session, server, "/metrics")
        assert 'healthd_check_status{check="here",status="unknown"} 1.0' in metrics
        await until(lambda: '"message": "overdue"' in server.log(), "the transition is told")


@pytest.mark.parametrize("jump", [-3600, 3600])
async def test_the_wall_clock_jumps(tmp_path: Path, jump: int) -> None:
    """An hour back or forth: checks go on running and ready stays green."""
    check = {"kind": "process", "critical": True, "interval": "1500ms", "timeout": "1s"}
    with clock.jumping() as wall:
        settings = {"checks": {"here": check}, "journal": f"sqlite:///{tmp_path}/journal.db"}
        async with daemon.running(settings, env=wall.env) as server, aiohttp.ClientSession() as session:

            async def is_ready() -> bool:
                return bool((await get(session, server, "/health/ready"))[0] == 200)

            await until(is_ready, "the first result")
            wall.set(jump)
            for _ in range(25):
                status, body, _ = await get(session, server, "/health/ready")
                assert status == 200, body
                await asyncio.sleep(0.2)
