"""HTTP checks for each second of processor time, against prometheus-blackbox-exporter.

Both probe the same target at the same pace over the same seconds, each time over a fresh connection; the target counts
who came. The exporter's driver is this process and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp

from bench import daemon, target
from bench.process import Served, serving
from bench.table import Row, show

CHECKS, INTERVAL = 200, 0.5  # so 400 probes a second
_MODULES = "modules: {http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}}\n"


def checks(origin: str, name: str, *, keep_alive: bool = False) -> str:
    options = f"kind: http, interval: {INTERVAL * 1000:.0f}ms, timeout: 400ms, keep_alive: {str(keep_alive).lower()}"
    return "\n".join(f"  c{number}: {{{options}, url: '{origin}/{name}/{number}'}}" for number in range(CHECKS))


@asynccontextmanager
async def blackbox() -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "blackbox.yml")
        file.write_text(_MODULES)
        command = ["prometheus-blackbox-exporter", f"--config.file={file}"]
        async with serving(lambda port: [*command, f"--web.listen-address=127.0.0.1:{port}"], "/-/healthy") as served:
            yield served


async def drive(exporter: Served, target_url: str, client: aiohttp.ClientSession) -> None:
    """Ask for one probe after the other, as Prometheus would for one target. Runs until cancelled."""
    url = exporter.url.replace("/-/healthy", f"/probe?module=http_2xx&target={quote(target_url)}")
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + INTERVAL
        async with client.get(url) as response:
            assert "probe_success 1" in await response.text()
        await asyncio.sleep(max(0.0, due - loop.time()))


@asynccontextmanager
async def driven(exporter: Served, origin: str) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client, asyncio.TaskGroup() as group:
        tasks = []
        for number in range(CHECKS):
            tasks.append(group.create_task(drive(exporter, f"{origin}/blackbox/{number}", client)))
            await asyncio.sleep(INTERVAL / CHECKS)
        yield
        for task in tasks:
            task.cancel()


async def measure(seconds: float = 10) -> list[Row]:
    async with (
        target.running() as peer,
        daemon.running(checks(peer.origin, "fresh"), "/health/live") as fresh,
        daemon.running(checks(peer.origin, "kept", keep_alive=True), "/health/live") as kept,
        blackbox() as exporter,
        driven(exporter, peer.origin),
    ):
        await asyncio.sleep(3)
        servers = {"fresh": fresh, "kept": kept, "blackbox": exporter}
        before = {name: (peer.hits(name), served.cpu_seconds()) for name, served in servers.items()}
        await asyncio.sleep(seconds)
        rate = {
            name: (peer.hits(name) - before[name][0]) / (served.cpu_seconds() - before[name][1])
            for name, served in servers.items()
        }
    theirs = f"{rate['blackbox']:,.0f}/s"
    what = "HTTP checks a processor second, against blackbox_exporter"
    return [
        Row(what, f"{rate['fresh']:,.0f}/s", theirs, rate["fresh"] / rate["blackbox"], "> 1"),
        Row(f"{what}; keep_alive", f"{rate['kept']:,.0f}/s", theirs, rate["kept"] / rate["blackbox"], "> 1"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    show(asyncio.run(measure(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
