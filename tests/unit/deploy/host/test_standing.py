"""What a release begins from, and what a rollback goes back to."""

import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from healthd_deploy.core.exit import CouldNotAsk, StepFailed
from healthd_deploy.host.folders import MARK, Folders, Unfinished
from healthd_deploy.host.host import Host, Standing
from healthd_deploy.host.processes import Processes
from healthd_deploy.host.settings import HostConfig
from tests.unit.deploy.host.test_backup import config


def host(home: Path, current: str | None = None, previous: str | None = None) -> Host:
    for version in ("1", "2", "3"):
        (home / "releases" / version).mkdir(parents=True)
        (home / "releases" / version / MARK).write_text("{}")
    Folders(home).point(current=current, previous=previous)
    return Host(config(home))


def test_the_first_release_begins_from_nothing(tmp_path: Path) -> None:
    """And there is nothing to go back to."""
    assert host(tmp_path).standing("1") == Standing(None, None)


def test_a_release_begins_from_what_is_current(tmp_path: Path) -> None:
    """Put back, `previous` is what it was as well."""
    assert host(tmp_path, "2", "1").standing("3") == Standing("2", "1")


def test_a_release_of_what_is_current(tmp_path: Path) -> None:
    """Judged again, it would go back to the one before."""
    assert host(tmp_path, "2", "1").standing("2") == Standing("1", "1")


def test_a_killed_deploy_hands_on_what_it_began_from(tmp_path: Path) -> None:
    """A version that no gate has passed is never what another one goes back to."""
    begun = host(tmp_path, "2", "1")
    left = Unfinished("run-7", "3", "2", "1")
    begun.folders.begin(left)
    begun.folders.point(current="3", previous="2")
    for version in ("3", "4"):
        assert begun.standing(version) == Standing("2", "1", left)


def test_a_deploy_is_left_where_its_version_is_current(tmp_path: Path) -> None:
    """Not before its switch, and not once a rollback of healthd's put the release before back: that begins anew."""
    begun = host(tmp_path, "2", "1")
    begun.folders.begin(Unfinished("run-7", "3", "2", "1"))
    assert not begun.is_left("run-7", "3")
    begun.folders.point(current="3", previous="2")
    assert begun.is_left("run-7", "3")
    assert not begun.is_left("run-8", "3")
    begun.folders.point(current="2", previous="2")
    assert not begun.is_left("run-7", "3")


async def test_what_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, with what to do, and nothing was changed."""
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("JWT_SECRET", " ")
    monkeypatch.setenv("PATH", str(tmp_path))
    document = config(tmp_path, mongodb={}).model_dump() | {"variables": ["JWT_SECRET"], "free": 2**60}
    lacking = HostConfig.model_validate({**document, "shared": [".env"]})
    with pytest.raises(CouldNotAsk) as refusal:
        await Host(lacking).ready()
    said = str(refusal.value)
    for part in (
        "the variable JWT_SECRET is not set",
        "the variable MONGODB_URI is not set",
        "the program pm2 is not there: npm install --global pm2",
        "the program mongodump is not there: install the MongoDB Database Tools, or leave out backup.mongodb",
        "pm2.ecosystem: there is no /srv/ecosystem.config.js",
        f"shared: there is no {tmp_path}/shared/.env",
        "MiB must be (free)",
    ):
        assert part in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"home": "relative"},
        {"home": "/srv/../etc"},
        {"gates": {"idle": ["smoke"]}},
        {"keep_releases": 1},
        {"shared": ["../outside"]},
        {"shared": [".."]},
        {"variables": ["not a name"]},
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    """Before anything is looked at."""
    with pytest.raises(ValidationError):
        HostConfig.model_validate({**config(tmp_path).model_dump(), **changes})


async def test_a_listing_after_other_words(tmp_path: Path) -> None:
    """PM2 says more than its list when it has just been started."""
    program = tmp_path / "pm2"
    mine = f'{{"name": "api", "pid": {os.getpid()}, "pm2_env": {{"status": "online", "exec_mode": "cluster_mode"}}}}'
    program.write_text(f"#!/bin/sh\necho '[PM2] Spawning PM2 daemon'\necho '[{mine}]'\n")
    program.chmod(0o755)
    settings = config(tmp_path)
    pm2 = settings.pm2.model_copy(update={"program": str(program)})
    (instance,) = await Processes(pm2, settings.health).instances()
    assert (instance.status, instance.release) == ("online", Path.cwd())


@pytest.mark.parametrize("listed", [True, False])
async def test_a_program_in_front_of_pm2_is_asked_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, listed: bool
) -> None:
    """It may give PM2 another home than this user's, in which no daemon runs."""
    monkeypatch.setenv("PM2_HOME", str(tmp_path / "none"))
    before, settings = host(tmp_path, "2", "1"), config(tmp_path)

    async def health(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_get("/health", health)
    program = tmp_path / "pm2-of-shop"
    one = f'{{"name": "api", "pid": {os.getpid()}, "pm2_env": {{"status": "online", "exec_mode": "cluster_mode"}}}}'
    program.write_text(f"#!/bin/sh\necho '[{one if listed else ''}]'\n")
    program.chmod(0o755)
    async with TestServer(application) as server:
        url = str(server.make_url("/health"))
        before.processes = Processes(
            settings.pm2.model_copy(update={"program": str(program)}), settings.health.model_copy(update={"url": url})
        )
        if listed:
            assert await before.could_roll_back(None) == "1"
            return
        with pytest.raises(StepFailed, match=f"{program} knows no api, and yet {url} answers"):
            await before.could_roll_back(None)


@pytest.mark.usefixtures("hung_resolver")
async def test_an_application_whose_name_is_not_resolved_in_time_is_told(tmp_path: Path) -> None:
    """It was not asked, and says nothing by its silence."""
    settings = config(tmp_path)
    health = settings.health.model_copy(update={"url": "http://hung.example/health", "timeout": 3.0})
    said = await Processes(settings.pm2, health)._answer()
    assert said.startswith("the name hung.example was not resolved within ")
