"""Programs that are forked behave as those that are started anew, and end with the tests."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from tests.servers import forked
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until_now


def started(folder: Path, *argv: str, **env: str) -> forked.Forked:
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return forked.launch(argv, out, err, {**os.environ, **env}, folder)


@pytest.mark.parametrize(
    "words", [("--version",), ("no-such-command",), ("config", "check", "healthd.yaml"), ("config", "check", "none")]
)
def test_it_does_the_same(words: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code, standard output and standard error, in its folder."""
    configure(tmp_path)
    code = started(tmp_path, "healthd", *words, COLUMNS="100").wait(60)
    env = {**os.environ, "COLUMNS": "100"}
    anew = subprocess.run([sys.executable, "-m", "healthd", *words], cwd=tmp_path, env=env, capture_output=True)
    said = ((tmp_path / "out").read_bytes(), (tmp_path / "err").read_bytes())
    assert (code, *said) == (anew.returncode, anew.stdout, anew.stderr)


def test_signals_are_told(tmp_path: Path) -> None:
    """By the exit code: one that it handles, and one that nobody can."""
    configure(tmp_path)
    for number, code in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        daemon = started(tmp_path, "healthd", "run", "-c", "healthd.yaml")
        until_serving(tmp_path / "err")
        assert daemon.poll() is None
        daemon.send_signal(number)
        assert daemon.wait(60) == code


def test_it_starts_our_own_programs_forked_too(tmp_path: Path) -> None:
    """A daemon starts the deploy tool for each step of a ramp."""
    configure(tmp_path, {"kind": "exec", "argv": ["sh", "-c", f"command -v healthd-deploy > {tmp_path}/found"]})
    assert started(tmp_path, "healthd", "check", "-c", "healthd.yaml").wait(60) == 0
    assert (tmp_path / "found").read_text().strip() == str(forked.program("healthd-deploy"))


def test_it_ends_with_what_forked_it(tmp_path: Path) -> None:
    """Which ends with the tests: a run that is killed leaves nothing behind."""
    configure(tmp_path)
    script = (
        "import os, sys, time; from tests.servers import forked\n"
        "with open('{}/out', 'wb') as log: daemon = forked.launch({}, log, log, os.environ)\n"
        "print(daemon.pid, flush=True); time.sleep(600)"
    ).format(tmp_path, ["healthd", "run", "-c", f"{tmp_path}/healthd.yaml"])
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as tests:
        assert tests.stdout is not None
        daemon = psutil.Process(int(tests.stdout.readline()))
        until_serving(tmp_path / "out")
        tests.kill()
    until_now(lambda: not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE, "the daemon is gone")


def configure(folder: Path, check: Mapping[str, object] = MappingProxyType({"kind": "process"})) -> None:
    listen = f"{HOST}:{free_port()}"
    settings = {"http": {"listen": listen, "drain": "10ms"}, "journal": f"sqlite:///{folder}/journal.db"}
    (folder / "healthd.yaml").write_text(json.dumps({"checks": {"here": dict(check)}, **settings}))


def until_serving(log: Path) -> None:
    until_now(lambda: '"serving"' in log.read_text(), log.read_text)
