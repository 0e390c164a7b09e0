"""What signals and the service manager have to do with the daemon."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from healthd.web.auth import new_token
from tests.servers import daemon, notify
from tests.servers.daemon import Daemon
from tests.servers.lateness import Lateness
from tests.servers.ports import HOST, free_port
from tests.servers.process import Process
from tests.servers.waiting import until

CHECK = {"kind": "process", "critical": True, "interval": "1s", "timeout": "1s"}
Config = dict[str, Any]


@pytest.fixture
def base(tmp_path: Path) -> Config:
    """One check that is always well, and a journal of its own."""
    return {"checks": {"here": CHECK}, "journal": f"sqlite:///{tmp_path}/journal.db", "http": {"drain": "1s"}}


async def code(session: aiohttp.ClientSession, server: Daemon, path: str = "/health/ready", **headers: str) -> int:
    async with session.get(server.url + path, headers=headers) as response:
        await response.read()
        return response.status


async def ready(session: aiohttp.ClientSession, server: Daemon) -> None:
    async def is_ready() -> bool:
        return await code(session, server) == 200

    await until(is_ready, "ready")


async def test_sigterm_to_make_ends_the_daemon(tmp_path: Path) -> None:
    """It would else keep its port while nobody knows of it."""
    port = free_port()
    file = tmp_path / "healthd.yaml"
    file.write_text(json.dumps({"http": {"listen": f"{HOST}:{port}", "drain": "100ms"}}))
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name in ("bin/python", ".run"):  # so that make installs nothing
        (tmp_path / "venv" / name).touch()
    make = await asyncio.create_subprocess_exec(
        *("make", "run", f"VENV={tmp_path}/venv", f"BIN={Path(sys.executable).parent}"),
        env={**os.environ, "HEALTHD_CONFIG": str(file)}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    async with aiohttp.ClientSession() as session:

        async def answers() -> bool:
            try:
                async with session.get(f"http://{HOST}:{port}/health/live") as response:
                    return response.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await until(answers, "the daemon")
        make.terminate()
        await make.wait()

        async def is_gone() -> bool:
            return not await answers()

        await until(is_gone, "the end of the daemon")


async def test_sigterm_drains(base: Config) -> None:
    """Not ready at once, alive until the drain is over, and then an end in good order."""
    async with daemon.running({**base, "http": {"drain": "2s"}}) as server, aiohttp.ClientSession() as session:
        await ready(session, server)
        with Lateness(server.pid) as late:
            server.process.send(signal.SIGTERM)
            began = time.monotonic()
            while await code(session, server) != 503:
                assert time.monotonic() - began < 0.5 + late.seconds
            while time.monotonic() - began < 1.0:
                assert await code(session, server, "/health/live") == 200
                await asyncio.sleep(0.05)
            await until(lambda: server.process.exit_code is not None, "the end")
            assert server.process.exit_code == 0
            assert 1.9 < time.monotonic() - began < 5 + late.seconds


async def test_two_sigterms_are_in_a_hurry(base: Config) -> None:
    """The second one does not wait for the drain."""
    settings = {**base, "http": {"drain": "10m"}}
    async with daemon.running(settings) as server:
        server.process.send(signal.SIGTERM)
        await until(lambda: "draining" in server.log(), "the first is heard: the kernel makes one of two")
        assert server.process.running
        server.process.send(signal.SIGTERM)
        await until(lambda: server.process.exit_code is not None, "the end, long before that of the drain")
        assert server.process.exit_code == 0


async def test_sighup_takes_a_valid_file(base: Config) -> None:
    """Groups, tokens and maintenance apply; a check that did not change goes on undisturbed."""
    async with daemon.running(base) as server, aiohttp.ClientSession() as session:
        await ready(session, server)
        token, hashed = new_token()
        window = {"checks": ["gone"], "from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": "move"}
        gone = {**CHECK, "kind": "tcp", "host": "127.0.0.1", "port": 1}
        server.configure(
            {
                **base,
                "checks": {"here": CHECK, "gone": gone},
                "groups": {"mine": {"checks": ["here", "gone"]}},
                "maintenance": [window],
                "auth": {"tokens": [{"name": "ci", "hash": hashed, "scopes": ["checks:run"]}]},
            }
        )

        async def has_group() -> bool:
            return await code(session, server, "/health/mine") == 200

        await until(has_group, "the new group, whose failing check is in maintenance")
        changes = [line for line in server.log().splitlines() if '"check": "here"' in line]
        assert len(changes) == 1, "an unchanged check begins anew"
        async with session.post(f"{server.url}/checks/here/run") as refused:
            assert refused.status == 401
        async with session.post(f"{server.url}/checks/here/run", headers={"Authorization": f"Bearer {token}"}) as ran:
            assert ran.status == 200
        assert token not in server.log()
        server.configure(base)

        async def is_gone() -> bool:
            async with session.get(f"{server.url}/metrics") as response:
                return 'check="gone"' not in await response.text()

        await until(is_gone, "a check that was taken out leaves no metric behind")


async def test_sighup_refuses_an_invalid_file_whole(base: Config) -> None:
    """Nothing of it applies, the problem is in the log with its line, and a metric says so until it is mended."""
    async with daemon.running(base) as server, aiohttp.ClientSession() as session:
        await ready(session, server)

        async def reload_ok(value: str) -> bool:
            async with session.get(f"{server.url}/metrics") as response:
                return f"healthd_config_last_reload_successful {value}" in await response.text()

        server.configure({**base, "groups": {"new": {"checks": ["here"]}}, "level": "full"})
        await until(lambda: reload_ok("0.0"), "the metric says so")
        refusal = next(json.loads(line) for line in server.log().splitlines() if "configuration refused" in line)
        assert "level: must be 'basic', 'enhanced' or 'comprehensive'" in refusal["problems"][0]
        assert await code(session, server) == 200
        assert await code(session, server, "/health/new") == 404
        server.configure({**base, "groups": {"new": {"checks": ["here"]}}})
        await until(lambda: reload_ok("1.0"), "mended")
        assert await code(session, server, "/health/new") == 200


async def test_sighup_of_a_file_that_nobody_can_read_changes_nothing(base: Config) -> None:
    """Neither a date that there is not, nor an odd byte, nor an emptied file ends the daemon, turns red to green or
    opens what needs a token."""
    _, hashed = new_token()
    red = {**CHECK, "kind": "tcp", "host": "127.0.0.1", "port": 1}
    token = {"name": "ci", "hash": hashed, "scopes": ["gates:read"]}
    settings = {**base, "environment": "production", "checks": {"red": red}, "auth": {"tokens": [token]}}
    window = b"maintenance: [{checks: [red], from: 2026-11-30T22:00:00Z, to: 2026-11-31T02:00:00Z, reason: x}]"
    async with daemon.running(settings) as server, aiohttp.ClientSession() as session:
        await until(lambda: '"check": "red"' in server.log(), "the first result")
        good = server.file.read_bytes()
        for text in (good[:-2] + b", " + window[:-1] + b"}", b"", good + b"\0\0", good + b"# \x1b[0m", b"\xff"):
            before = server.log().count("configuration refused")
            server.file.write_bytes(text)
            server.process.send(signal.SIGHUP)

            def refused(before: int = before) -> bool:
                return server.log().count("configuration refused") > before

            await until(refused, repr(text[-20:]))
            assert await code(session, server) == 503
            assert await code(session, server, "/gates") == 401
        server.file.write_bytes(good)
        server.process.send(signal.SIGHUP)
        await until(lambda: "configuration loaded" in server.log(), "mended")
        assert await code(session, server) == 503


async def test_sighup_says_what_needs_a_restart(base: Config) -> None:
    """Another address is not taken silently, nor is it a reason to refuse the rest."""
    async with daemon.running(base) as server, aiohttp.ClientSession() as session:
        await ready(session, server)
        server.file.write_text(json.dumps({**base, "http": {"listen": "127.0.0.1:1"}, "version": "2.0"}))
        server.process.send(signal.SIGHUP)
        await until(lambda: "http.listen changes only with a restart" in server.log(), "the warning")
        async with session.get(f"{server.url}/health") as response:
            assert (await response.json())["version"] == "2.0"


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_it_loads_is_a_stop(told: signal.Signals, tmp_path: Path) -> None:
    """As soon as a reload would be kept; it ends with 0, as later."""
    command = [sys.executable, "-m", "healthd", "run", "--config", str(tmp_path / "none.yaml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        status, reload = Path(f"/proc/{process.pid}/status"), 1 << (signal.SIGHUP - 1)
        while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & reload:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(told)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


async def test_systemd_is_told(base: Config) -> None:
    """Ready when it serves, alive while its loop runs, reloading, and stopping."""
    with notify.listening() as manager:
        async with daemon.running(base, env=manager.env(watchdog=0.6)) as server:
            await manager.wait_for("READY=1")
            for _ in range(3):
                await manager.wait_for("WATCHDOG=1")
            server.configure(base)
            assert "MONOTONIC_USEC=" in await manager.wait_for("RELOADING=1")
            await manager.wait_for("READY=1")
            server.process.send(signal.SIGTERM)
            await manager.wait_for("STOPPING=1")


async def test_sighup_to_a_daemon_that_is_still_starting(base: Config, tmp_path: Path) -> None:
    """It is remembered: whoever starts a daemon and reloads it at once ends it otherwise."""
    file, port = tmp_path / "healthd.yaml", free_port()
    file.write_text(json.dumps({**base, "http": {"listen": f"{HOST}:{port}"}}))
    argv = [sys.executable, "-m", "healthd", "run", "--config", file]
    process = Process(argv, lambda process: process.listens(port), log=tmp_path / "log")
    process.launch()
    try:
        status = Path(f"/proc/{process.pid}/status")
        while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & 1 << signal.SIGHUP - 1:
            await asyncio.sleep(0.001)
        assert not process.listens(port), "nothing is imported yet"
        process.send(signal.SIGHUP)
        await asyncio.to_thread(process.await_ready)
        await until(lambda: "configuration loaded" in process.log(), "the reload, once there is something to reload")
    finally:
        process.kill()
