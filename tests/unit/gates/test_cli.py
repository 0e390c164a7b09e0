"""Exit codes: nothing but a verdict looks like a verdict."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from healthd_gates.cli import gate
from tests.servers.ports import free_port


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "api"],
        ["verify", "api", "1", "--label", "zone"],
        ["verify", "api", "1", "--override", "freeze"],
        ["verify", "api", "1", "--no-such-option"],
        ["verify", "api", "1", "--url", "ftp://example.org"],
        ["verify", "--request", "/no/such/file"],
        ["no-such-command"],
        ["rollback", "g1", "--retry-for", "0"],
        ["lock", "api", "--holder", "ci", "--reason", "x", "--for", "30"],
    ],
    ids=" ".join,
)
def test_a_question_that_cannot_be_asked_is_3(arguments: list[str]) -> None:
    """Click's own code for that, 2, would be read as inconclusive; what is wrong goes to stderr."""
    result = CliRunner().invoke(gate, arguments)
    assert result.exit_code == 3
    assert result.stderr
    assert not result.stdout


def test_a_daemon_that_is_not_there_is_3() -> None:
    """And the message names its address."""
    url = f"http://127.0.0.1:{free_port()}"
    result = CliRunner().invoke(gate, ["verify", "api", "1", "--url", url, "--retry-for", "0"])
    assert result.exit_code == 3
    assert url in result.stderr


def test_a_crash_is_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own code for that, 1, would be read as a failed gate."""

    def crash(_name: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("healthd.commands.lazy.import_module", crash)
    result = CliRunner().invoke(gate, ["list"])
    assert result.exit_code == 3
    assert "a bug" in result.stderr


def test_a_reader_that_left_is_no_crash() -> None:
    """`healthd gate list | head -1` is no reason for a traceback, and none to end otherwise."""
    left, here = os.pipe()
    os.close(left)
    command = [sys.executable, "-m", "healthd", "gate", "locks", "--help"]
    with os.fdopen(here, "wb") as gone:
        ended = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    "command", ["approve", "cancel", "list", "lock", "reject", "rollback", "show", "verify", "watch"]
)
def test_every_command_explains_itself(command: str) -> None:
    """`--help` is not an accident."""
    result = CliRunner().invoke(gate, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
