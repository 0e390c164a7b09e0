"""The pm2 check against a real PM2: what it runs, what dies there, and what becomes of a PM2 that is not there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import pm2
from tests.servers.pm2 import Pm2
from tests.servers.programs import require
from tests.servers.waiting import until_now


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pm2]:
    """Two workers that stay, and two applications that die."""
    folder = tmp_path_factory.mktemp("apps")
    (folder / "stays.js").write_text("setInterval(() => {}, 1000)")
    (folder / "dies.js").write_text("setTimeout(() => process.exit(1), 100)")
    with pm2.running() as started:
        started.run("start", str(folder / "stays.js"), "--name", "api", "-i", "2")
        started.run("start", str(folder / "dies.js"), "--name", "given-up", "--max-restarts", "2")
        started.run("start", str(folder / "dies.js"), "--name", "loop", "--restart-delay", "300")
        started.run("start", str(folder / "stays.js"), "--name", "stopped")
        started.run("stop", "stopped")
        yield started


def options(home: str, **more: Any) -> dict[str, Any]:
    return {
        "home": home, "program": str(require("pm2")), "timeout": "60s", "interval": "60s", **more,
    }  # fmt: skip


def of(running: Pm2, app: str) -> dict[str, Any]:
    """What PM2 says of the process of an application."""
    return next(each for each in running.processes() if each["name"] == app)["pm2_env"]  # type: ignore[no-any-return]


async def found(running: Pm2, app: str, status: Status, kind: FailureKind | None = None, **more: Any) -> Result:
    async with watched("pm2", **options(running.env["PM2_HOME"], app=app, **more)) as check:
        return await check.finds(status, kind)


async def test_what_is_online(running: Pm2) -> None:
    """With what it takes of memory."""
    result = await found(running, "api", Status.HEALTHY, instances=2)
    assert result.message == "2 of 2 online"
    assert {it.name: it.value for it in result.measures} | {"memory": 0, "cpu": 0} == {
        "processes": 2, "online": 2, "restarts": 0, "memory": 0, "cpu": 0,
    }  # fmt: skip
    assert next(it.value for it in result.measures if it.name == "memory") > 1e6
    assert "healthd" not in repr(result.observed), "nothing of the environment"


async def test_too_few(running: Pm2) -> None:
    result = await found(running, "api", Status.UNHEALTHY, FailureKind.THRESHOLD, instances=3)
    assert result.message == "2 of 2 processes are online, at least 3 should be"


@pytest.mark.parametrize(("app", "state"), [("given-up", "errored"), ("stopped", "stopped")])
async def test_what_is_not(running: Pm2, app: str, state: str) -> None:
    """Given up by PM2, or stopped by somebody."""
    until_now(lambda: of(running, app)["status"] == state, f"{app} is {state}")
    result = await found(running, app, Status.UNHEALTHY, FailureKind.THRESHOLD)
    assert result.message == f"0 of 1 processes are online, at least 1 should be: 1 {state}"


async def test_a_crash_loop(running: Pm2) -> None:
    """Whatever PM2 calls it at the moment of the look, from the second one on."""
    async with watched("pm2", **options(running.env["PM2_HOME"], app="loop", restarts={"unhealthy": 0})) as check:
        await check.look()
        before = of(running, "loop")["restart_time"]
        until_now(lambda: of(running, "loop")["restart_time"] > before, "another restart")
        result = await check.finds(Status.UNHEALTHY, FailureKind.THRESHOLD)
    assert "restarts of a process within 10m: " in result.message


async def test_an_application_that_is_not_there(running: Pm2) -> None:
    result = await found(running, "appi", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    assert result.message == "PM2 knows no appi, only: api, given-up, loop, stopped. Did you mean api?"


async def test_no_pm2_is_started(tmp_path: Path) -> None:
    """By a check that looks whether one runs."""
    async with watched("pm2", **options(str(tmp_path), app="api")) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
        assert result.message == f"PM2 does not run: there is no {tmp_path}/rpc.sock"
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(tmp_path / "rpc.sock"))
        result = await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
        assert result.message == f"PM2 does not run: nobody listens at {tmp_path}/rpc.sock"
    assert [file.name for file in tmp_path.iterdir()] == ["rpc.sock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
async def test_the_socket_of_another_user(tmp_path: Path) -> None:
    """Says as whom healthd has to run."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "rpc.sock"))
        listening.listen()
        (tmp_path / "rpc.sock").chmod(0)
        async with watched("pm2", **options(str(tmp_path), app="api")) as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.PERMISSION)
    assert result.message == f"may not use {tmp_path}/rpc.sock: run healthd as PM2's user"


async def test_one_that_hangs(tmp_path: Path) -> None:
    """Within the deadline."""
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "rpc.sock"))
        hung.listen()
        async with watched("pm2", **options(str(tmp_path), app="api", timeout="2s")) as check:
            await check.gives_up()


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("echo 'Error: SECRET'; exit 1", FailureKind.UNEXPECTED_RESPONSE, "ended with code 1: without a word"),
        ("echo '[PM2][ERROR] no'; exit 1", FailureKind.UNEXPECTED_RESPONSE, "ended with code 1: [PM2][ERROR] no"),
        ("echo '[{\"name\": 1}]'", FailureKind.UNEXPECTED_RESPONSE, "printed no list of processes"),
        ("head -c 9000000 /dev/zero", FailureKind.UNEXPECTED_RESPONSE, "no list of processes of less than 4 MiB"),
    ],
)
async def test_another_program(tmp_path: Path, script: str, kind: FailureKind, message: str) -> None:
    """What is not PM2's list is not green."""
    program = tmp_path / "pm2"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "rpc.sock"))
        listening.listen()
        async with watched("pm2", **options(str(tmp_path), app="api", program=str(program))) as check:
            result = await check.finds(Status.UNHEALTHY, kind)
    assert message in result.message
    assert "SECRET" not in result.message
