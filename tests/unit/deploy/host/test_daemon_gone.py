"""PM2's daemon that ends in the middle of a reload, which its command would wait for to its timeout."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host.processes import Processes
from healthd_deploy.host.settings import Health, Pm2
from tests.servers.waiting import until

HEALTH = Health(url="http://127.0.0.1:9/health")


def options(command: Path) -> dict[str, Any]:
    ecosystem = str(command.parent / "ecosystem.config.js")
    return {"program": str(command), "ecosystem": ecosystem, "app": "shop", "timeout": "5m"}


@pytest.mark.parametrize("removes", [False, True], ids=["killed", "ended in order"])
async def test_the_reload_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, removes: bool) -> None:
    """One that was killed leaves its pid file behind, `pm2 kill` removes it."""
    pid_file, begun, command = tmp_path / "pm2.pid", tmp_path / "begun", tmp_path / "pm2"
    command.write_text(f"#!/bin/sh\n: > {begun}\nexec sleep 600\n")
    command.chmod(0o755)
    monkeypatch.setenv("PM2_HOME", str(tmp_path))
    daemon = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        pid_file.write_text(str(daemon.pid))
        pm2 = Pm2.model_validate(options(command))
        reloading = asyncio.ensure_future(Processes(pm2, HEALTH).reload())
        await until(begun.exists, "the command runs")
        assert not reloading.done()
        daemon.kill()
        await daemon.wait()
        if removes:
            pid_file.unlink()
        with pytest.raises(StepFailed, match=rf"PM2's daemon \(process {daemon.pid}\) has ended meanwhile"):
            await asyncio.wait_for(reloading, 60)
    finally:
        if daemon.returncode is None:
            daemon.kill()
            await daemon.wait()


async def test_a_command_that_starts_the_daemon_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first command after a restart of the host finds a pid file of before."""
    command = tmp_path / "pm2"
    command.write_text("#!/bin/sh\nsleep 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PM2_HOME", str(tmp_path))
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    (tmp_path / "pm2.pid").write_text(str(gone.pid))
    pm2 = Pm2.model_validate(options(command))
    await Processes(pm2, HEALTH).reload()
