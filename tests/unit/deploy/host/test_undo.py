"""A release that is not kept puts the old one back once, and undoes its migrations after that."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.steps import Steps
from healthd_deploy.host.folders import Folders, Unfinished
from healthd_deploy.host.host import Host, Standing
from healthd_deploy.host.release import HostRelease
from healthd_deploy.host.settings import HostConfig, Migrations
from healthd_gates.client.client import GateClient
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from tests.unit.deploy.core.test_live_again import RUNNING, Daemon
from tests.unit.deploy.host.test_backup import config
from tests.unit.deploy.host.test_standing import host


class Recorded(Host):
    """A host with real folders and links, without npm, PM2 and databases; `done` holds what was done to them."""

    def __init__(self, settings: HostConfig, broken: str) -> None:
        super().__init__(settings)
        self.done, self._broken = list[str](), broken

    def _do(self, what: str) -> str:
        self.done.append(what)
        if what == self._broken:
            raise StepFailed(f"{what} broke")
        return what

    async def ready(self) -> str:
        return self._do("ready") if self._broken == "ready" else "all of it"

    async def back_up(self, key: str, version: str, baseline: str | None) -> str:
        return "whole"

    async def unpack(self, version: str) -> str:
        return "there already"

    async def migrate(self, migrations: Migrations, version: str) -> str:
        return self._do("migrate")

    async def migrate_back(self, undo: object, within: float, version: str) -> None:
        self._do("undo the migrations")

    async def switch(self, key: str, version: str, standing: Standing) -> None:
        self.folders.begin(Unfinished(key, version, standing.baseline, standing.previous))
        self.folders.point(current=version, previous=standing.baseline)
        self._do("switch")

    async def healthy(self, version: str) -> None: ...

    async def put_back(self, standing: Standing) -> None:
        self.folders.point(current=standing.baseline, previous=standing.previous)
        self.folders.finish()
        self._do(f"put {standing.baseline} back")


async def released(
    home: Path, *, left: bool, put_back: bool = False, broken: str = "", gates: Sequence[Gate] = ()
) -> list[str]:
    """Release 3 on a host that runs 2; `left`: a deploy of it with the same key was killed after its switch;
    `put_back`: since then healthd has put 2 back."""
    host(home, *(("3", "2") if left and not put_back else ("2", "1")))
    if left:
        Folders(home).begin(Unfinished("run-7", "3", "2", "1"))
    migrations = {"argv": ["npm", "run", "up"], "undo": ["npm", "run", "down"]}
    changes = {"migrations": migrations, "gates": {"before": []}, "rollback_patience": "0s"}
    settings = HostConfig.model_validate({**config(home).model_dump(exclude_none=True), **changes})
    steps, recorded = Steps(quiet=True), Recorded(settings, broken)
    session = GateSession(cast("GateClient", Daemon(Verdict.FAIL, *gates)), settings, "run-7", steps)
    release = HostRelease(recorded, session, steps, settings, "run-7")
    assert await carried_out(lambda: release.deploy("3"), session, steps) == 1
    assert Folders(home).version() == "2"
    return recorded.done


@pytest.mark.parametrize("left", [False, True], ids=["at once", "killed, and run again"])
async def test_code_goes_back_once_and_the_schema_after_it(tmp_path: Path, left: bool) -> None:
    """The going on and the switch have the same undo; the new release needs its schema until it is gone."""
    assert await released(tmp_path, left=left) == ["migrate", "switch", "put 2 back", "undo the migrations"]


async def test_a_release_that_was_left_at_its_gate_undoes_its_migrations_too(tmp_path: Path) -> None:
    """They were carried out before it was killed."""
    gate = replace(RUNNING, candidate=Version(version="3"), deployment=Deployment(id="run-7"), policy="post-switch")
    assert await released(tmp_path, left=True, gates=[gate]) == ["put 2 back", "undo the migrations"]


async def test_what_healthd_has_put_back_leaves_no_migrations(tmp_path: Path) -> None:
    """It puts back the release alone. Run again, the deploy ends before it would migrate: the version may be in
    quarantine."""
    done = await released(tmp_path, left=True, put_back=True, broken="ready")
    assert done == ["ready", "put 2 back", "undo the migrations"]


async def test_migrations_that_break_under_the_new_release_are_undone_after_it(tmp_path: Path) -> None:
    """Run again, the new release runs already."""
    assert await released(tmp_path, left=True, broken="migrate") == ["migrate", "put 2 back", "undo the migrations"]


async def test_migrations_that_break_before_the_switch_are_undone(tmp_path: Path) -> None:
    """Nothing was put in the place of the old release."""
    assert await released(tmp_path, left=False, broken="migrate") == ["migrate", "undo the migrations"]
