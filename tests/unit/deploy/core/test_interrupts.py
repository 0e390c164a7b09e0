"""A signal before a deploy has begun: a sentence and the code of an interrupt, not the silence of a killed process."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from healthd_deploy.core.interrupts import interrupting


def started(folder: Path, *words: str, ignored: signal.Signals | None = None) -> subprocess.Popen[str]:
    """The tool, with the modules of a folder before all others, and with signals as in a terminal but for one."""

    def inherit() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if number is ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-c", "from healthd_deploy.cli import run; run()", *words],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=inherit,
    )


def ended(deploy: subprocess.Popen[str], pipe: Path, number: signal.Signals) -> tuple[int, str, str]:
    """Its exit code and output, after a signal once it stands where it opens a pipe that nobody writes to."""
    try:
        with pipe.open("w"):
            deploy.send_signal(number)
            out, err = deploy.communicate(timeout=60)
    finally:
        deploy.kill()
    return deploy.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_was_changed(tmp_path: Path, number: signal.Signals) -> None:
    """While it imports what it needs, which takes the first second."""
    os.mkfifo(pipe := tmp_path / "pipe")
    (tmp_path / "psutil.py").write_text(f"open({str(pipe)!r}).read()\n")
    deploy = started(tmp_path, "nginx", "blue-green", "1.0", "-c", "deploy.yaml")
    assert ended(deploy, pipe, number) == (130, "", "interrupted: nothing was changed\n")


def test_a_switch_that_has_begun_says_no_such_thing(tmp_path: Path) -> None:
    """It may have written its file."""
    os.mkfifo(pipe := tmp_path / "pipe")
    targets = "targets: {blue: ['127.0.0.1:1'], green: ['127.0.0.1:2']}"
    test = f"test: [sh, -c, 'read line < {pipe}'], pid: {tmp_path}/pid"
    (tmp_path / "deploy.yaml").write_text(f"upstream: {{file: {tmp_path}/a.conf, name: a, {targets}, {test}}}\n")
    deploy = started(tmp_path, "nginx", "switch", "--force", "blue", "-c", str(tmp_path / "deploy.yaml"))
    assert ended(deploy, pipe, signal.SIGTERM) == (-signal.SIGTERM, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    """As a Ctrl-C is of what a script starts in the background: it is for what runs in front."""
    os.mkfifo(pipe := tmp_path / "pipe")
    (tmp_path / "psutil.py").write_text(f"open({str(pipe)!r}).read()\n")
    deploy = started(tmp_path, "nginx", "blue-green", "1.0", "-c", str(tmp_path / "deploy.yaml"), ignored=number)
    with pipe.open("w"):
        deploy.send_signal(number)
    out, err = deploy.communicate(timeout=60)
    assert (deploy.returncode, out, "deploy.yaml" in err) == (3, "", True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_deploy_that_runs_leaves_an_ignored_signal_alone(number: signal.Signals) -> None:
    stopped: list[None] = []
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with interrupting(lambda: stopped.append(None)):
            os.kill(os.getpid(), number)
            for _ in range(3):
                await asyncio.sleep(0)
        assert (stopped, signal.getsignal(number)) == ([], signal.SIG_IGN)
    finally:
        signal.signal(number, before)
