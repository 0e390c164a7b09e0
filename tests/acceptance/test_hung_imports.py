"""A file system with the packages that does not answer any more: only what has to be imported waits for it.

Python looks for one module at a time, in any thread, so that an import in the event loop would wait for one that hangs.
"""

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers import daemon, tls
from tests.servers.daemon import AUTHORIZED
from tests.servers.streams import listening
from tests.servers.waiting import until

PLANTED = """
import os, sys, threading, time

told, hang = os.environ["TOLD"], os.environ["HANG"]


class Planted:
    def find_spec(self, name, path=None, target=None):
        if "healthd.app.rest" in sys.modules and threading.current_thread() is threading.main_thread():
            with open(told, "a") as file:
                file.write(name + chr(10))
        while name == "redis" and os.path.exists(hang):
            time.sleep(0.01)


sys.meta_path.insert(0, Planted())
"""
REDIS = {"kind": "redis", "uri": "redis://127.0.0.1:1"}
FAST = {"interval": "1s", "timeout": "900ms"}


async def test_the_event_loop_imports_nothing_once_health_is_served(tmp_path: Path) -> None:
    """Neither for the first probe of any kind nor for a page; and a kind that is first named by a reload, whose driver
    cannot be imported, keeps nothing waiting but that reload."""
    (tmp_path / "sitecustomize.py").write_text(PLANTED)
    told, hang = tmp_path / "told", tmp_path / "hang"
    env = {"PYTHONPATH": str(tmp_path), "TOLD": str(told), "HANG": str(hang)}
    authority = tls.Authority(tmp_path)
    context = authority.good().context(tmp_path)
    async with listening(_ok, context) as port:
        checks: dict[str, Any] = {
            "http": {"kind": "http", "url": f"https://localhost:{port}/", "expect": {"matches": "ok"}},
            "tls": {"kind": "tls", "host": "localhost", "port": port},
            "mongodb": {"kind": "mongodb", "uri": "mongodb://127.0.0.1:1/x", "driver": "motor"},
            "postgresql": {"kind": "postgresql", "uri": "postgresql://app@127.0.0.1:1/x"},
            "dns": {"kind": "dns", "name": "example.test", "name_servers": ["127.0.0.1:1"]},
            "here": {"kind": "process", "critical": True},
        }
        trusting = {"ca_file": str(authority.trust)}
        checks = {n: {**c, **FAST, **(trusting if n in ("http", "tls") else {})} for n, c in checks.items()}
        settings = {"checks": checks, "journal": f"sqlite:///{tmp_path}/journal.db", "http": {"drain": "100ms"}}
        async with daemon.running(settings, env=env) as server, aiohttp.ClientSession(headers=AUTHORIZED) as session:

            async def answer(path: str) -> str:
                async with session.get(server.url + path) as answer:
                    assert answer.status == 200 or path == "/health", (path, answer.status)
                    return await answer.text()

            async def has(count: int) -> bool:
                """Whether there are so many checks, each with a result."""
                found = json.loads(await answer("/health"))["checks"]
                return len(found) == count and all(check["status"] != "unknown" for check in found.values())

            async def probes() -> int:
                found = re.search(r'probe_duration_seconds_count{check="here"} (\d+)', await answer("/metrics"))
                assert found is not None
                return int(found[1])

            await until(lambda: has(len(checks)), "a result of every check")
            for page in ("/", "/checks/http", "/gates", "/history", "/openapi.json"):
                await answer(page)
            hang.touch()
            server.configure({**settings, "checks": {**checks, "redis": REDIS}})
            await until(lambda: "reading configuration" in server.log(), "the reload")
            before = await probes()

            async def goes_on() -> bool:
                return await probes() > before + 1

            await until(goes_on, "other checks go on")
            found = json.loads(await answer("/health"))["checks"]
            assert {name for name, check in found.items() if check["status"] == "unknown"} <= {"redis"}
            hang.unlink()
            await until(lambda: has(len(checks) + 1), "the new check, once its driver is there")
            assert not told.exists(), told.read_text()
            server.process.send(signal.SIGTERM)
            await until(lambda: server.process.exit_code == 0, "the end")


async def _ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()
