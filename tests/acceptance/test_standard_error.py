"""Whoever reads the daemon's log may stop reading: a container's log driver, a terminal with Ctrl-S."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from tests.servers.lateness import Lateness
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until


async def test_a_log_that_nobody_reads_holds_no_answer(tmp_path: Path) -> None:
    """Health is answered as ever, and the daemon can be stopped."""
    port = free_port()
    red = {"kind": "tcp", "host": HOST, "port": 1, "interval": "1s", "timeout": "1s"}
    file = tmp_path / "healthd.yaml"
    settings = {"http": {"listen": f"{HOST}:{port}", "drain": "100ms"}, "journal": f"sqlite:///{tmp_path}/journal.db"}
    file.write_text(json.dumps({**settings, "checks": {"red": red}}))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, 4096 * b"-")
    except BlockingIOError:
        os.set_blocking(writing, True)
    process = subprocess.Popen([sys.executable, "-m", "healthd", "run", "-c", file], stderr=writing)
    try:
        async with aiohttp.ClientSession(f"http://{HOST}:{port}") as session:

            async def red_is_known() -> bool:
                try:
                    async with session.get("/health") as answer:
                        return bool((await answer.json())["overall"] == "degraded")
                except aiohttp.ClientConnectionError:
                    return False

            await until(red_is_known, "the first result, of which a line tells")
            for _ in range(20):
                with Lateness(process.pid) as late:
                    began = time.monotonic()
                    async with session.get("/health/live") as answer:
                        assert answer.status == 200
                    assert time.monotonic() - began < 1 + late.seconds
                process.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.05)
            process.terminate()
            await until(lambda: process.poll() is not None, "the end")
            assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)
        os.close(writing)
