"""A run that cannot begin, of a deploy that was killed after its switch: nobody takes its end for nothing done."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from healthd_deploy.cli import main
from healthd_deploy.core.deploy_lock import DeployLock
from healthd_deploy.core.settings import Daemon
from healthd_deploy.core.steps import Steps
from healthd_deploy.host.folders import Unfinished
from healthd_gates.client.client import GateClient
from tests.servers.ports import free_port
from tests.unit.deploy.core.test_deploy_lock import Locks
from tests.unit.deploy.host.test_backup import config
from tests.unit.deploy.host.test_standing import host
from tests.unit.deploy.nginx.test_nginx import upstream


def ended(folder: Path, words: list[str], said: dict[str, Any], port: int | None = None) -> tuple[int, str]:
    """The exit code and the last line of a deploy whose healthd does not answer."""
    file, away = folder / "deploy.yaml", {"url": f"http://127.0.0.1:{port or free_port()}", "retry_for": "100ms"}
    file.write_text(json.dumps({"service": "api", **said, "healthd": away}))
    done = CliRunner().invoke(main, [*words, "--key", "run-7", "--config", str(file)])
    return done.exit_code, done.output.splitlines()[-1]


@pytest.mark.parametrize(("current", "code"), [("3", 4), ("2", 3)])
def test_on_a_host(tmp_path: Path, current: str, code: int) -> None:
    """Where healthd has put the old release back meanwhile, nothing is left."""
    home = tmp_path / "home"
    begun = host(home, "2", "1")
    begun.folders.begin(Unfinished("run-7", "3", "2", "1"))
    begun.folders.point(current=current, previous="2")
    said = json.loads(config(home).model_dump_json(exclude_unset=True))
    found, line = ended(tmp_path, ["host", "release", "3"], said)
    assert (found, "no gate has let it stay" in line) == (code, code == 4), line
    assert (code == 3) or "or go back by `healthd-deploy host rollback`" in line


def test_while_the_first_run_is_under_way(tmp_path: Path) -> None:
    """As where a job is started twice: it judges its version, and nobody is sent to go back."""
    begun = host(tmp_path / "home", "2", "1")
    begun.folders.begin(Unfinished("run-7", "3", "2", "1"))
    begun.folders.point(current="3", previous="2")
    said = json.loads(config(tmp_path / "home").model_dump_json(exclude_unset=True))
    port = free_port()
    first = config(tmp_path / "home").model_copy(
        update={"healthd": Daemon.model_validate({"url": f"http://127.0.0.1:{port}"})}
    )
    lock = DeployLock(cast("GateClient", Locks()), first, "run-7", Steps(quiet=True)).held()
    with asyncio.Runner() as running:
        running.run(lock.__aenter__())
        code, line = ended(tmp_path, ["host", "release", "3"], said, port)
        running.run(lock.__aexit__(None, None, None))
    assert (code, "another run of run-7 is under way" in line, "killed" in line) == (3, True, False), line


@pytest.mark.parametrize(("live", "says"), [("green", True), ("blue", False)])
def test_behind_nginx(tmp_path: Path, live: str, says: bool) -> None:
    """By its targets alone the tool does not know whether the version has passed."""
    conf = upstream(tmp_path)
    versions = {"blue": "1", "green": "3"}
    forced = ["nginx", "switch", "--force", "--config", str(tmp_path / "switch.yaml")]
    (tmp_path / "switch.yaml").write_text(f"upstream: {conf.model_dump_json()}")
    for target in ("blue", "green", live):
        assert CliRunner().invoke(main, [*forced, target, "--version", versions[target]]).exit_code == 0
    release = {"release": {"argv": ["true"]}, "upstream": json.loads(conf.model_dump_json())}
    code, line = ended(tmp_path, ["nginx", "blue-green", "3"], release)
    assert (code, "3 is on green, which has the traffic already" in line) == (3, says), line
