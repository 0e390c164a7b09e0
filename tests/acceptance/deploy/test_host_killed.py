"""`healthd-deploy host release` is killed at every step, and run again."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.deploy.host_stage import INSTANCES, Stage, staged
from tests.servers.requests import Load
from tests.servers.waiting import until

_TOLD = (
    "· back up",
    "· migrate",
    "· switch current",
    "· wait until",
    "· gate quick",
    "· note that it was promoted",
)


def _begun(stage: Stage) -> bool:
    return (stage.home / ".deploy.json").exists()


def _unpacking(stage: Stage) -> bool:
    return any((stage.home / "releases").glob(".new-*"))


def _seen(told: str) -> Callable[[Stage, str], bool]:
    return lambda _stage, said: told in said


_POINTS: dict[str, Callable[[Stage, str], bool]] = {
    **{told: _seen(told) for told in _TOLD},
    "while it is unpacked": lambda stage, _said: _unpacking(stage),
    "before the links": lambda stage, _said: _begun(stage),
    "after the links": lambda stage, said: "· switch" in said and _begun(stage) and stage.current in said,
}


async def _ended_at(
    stage: Stage, version: str, key: str, point: Callable[[Stage, str], bool], by: signal.Signals = signal.SIGKILL
) -> str:
    """What it had said when it ended by a signal."""
    deploy = await stage.start("release", version, "--key", key)
    assert deploy.stderr is not None
    said = ""

    async def read() -> None:
        nonlocal said
        assert deploy.stderr is not None
        async for line in deploy.stderr:
            said += line.decode()

    reading = asyncio.create_task(read())
    await until(lambda: point(stage, said.partition(f"shop {version}")[2]), lambda: f"{key}: {said}")
    assert deploy.returncode is None, said
    deploy.send_signal(by)
    await deploy.wait()
    await reading
    return said


async def _interrupted_and_run_again(stage: Stage) -> None:
    """Its undo cancels its gate: run again with its key, it is judged by another one."""
    stage.pack("2.0")
    stage.configure(gates={"before": [], "after": "post-switch"})
    before = stage.current
    said = await _ended_at(stage, "2.0", "run-20", _seen("· gate post-switch"), signal.SIGINT)
    assert stage.current == before, said
    again = await stage.run("release", "2.0", "--key", "run-20")
    assert (again.code, stage.current) == (0, "2.0"), again.err
    assert "✓ gate post-switch: " in again.err


@pytest.mark.timeout(400)
async def test_a_killed_release_goes_on(tmp_path: Path, postgresql_dsn: str) -> None:
    """With the same key it ends as it would have: one backup, nothing by halves, and no request was lost meanwhile."""
    async with staged(tmp_path, postgresql_dsn) as stage:
        stage.pack("1.0")
        stage.configure(
            gates={"before": [], "after": "quick"},
            migrations={"argv": ["touch", str(tmp_path / "migrated")]},
            keep_releases=2,
            backup={"postgresql": {}, "keep": 3},
        )
        first = await stage.run("release", "1.0")
        assert first.code == 0, first.err
        load = Load(f"{stage.url}/courses")
        async with load.running():
            for number, (name, point) in enumerate(_POINTS.items(), 1):
                version, key = f"1.{number}", f"run-{number}"
                before = stage.current
                stage.pack(version)
                said = await _ended_at(stage, version, key, point)
                assert stage.current in (before, version), name
                again = await stage.run("release", version, "--key", key)
                assert again.code == 0, f"{name}\n{said}\n{again.err}"
                assert stage.running() == [version] * INSTANCES, name
                assert (stage.current, (stage.home / "previous").readlink().name) == (version, before), name
                assert stage.releases() == {version, before}, name
                assert not _begun(stage), name
                taken = [json.loads((each / "backup.json").read_text()) for each in stage.backups()]
                assert [one["before"] for one in taken].count(version) == 1, name
                assert len(taken) <= 3, name
            await _interrupted_and_run_again(stage)
        assert [each for each in load.seen if each[1] != 200] == []
        assert len(load.seen) > 100
