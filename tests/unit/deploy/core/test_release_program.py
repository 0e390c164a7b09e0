"""A release by a program of the user's own: what is told where it fails."""

import pytest

from healthd.runtime.redaction import Redactor
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.program import ProgramTimedOut
from healthd_deploy.core.release_program import Program
from healthd_deploy.core.steps import Steps


async def test_a_program_that_fails_without_a_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With its target and its arguments; `sh ended with 1: it said nothing` names none of many. No secret is shown."""
    release = Program(argv=("sh", "-c", "exit 1", "release", "$target", "$version", "--token=hunter2-hunter2"))
    steps = Steps(redact=Redactor(["hunter2-hunter2"]))
    with pytest.raises(StepFailed):
        await steps.look("release 2.0 to green", lambda: release.run("green", "2.0"))
    told = capsys.readouterr().err
    assert "sh ended with 1: it said nothing (for green: sh -c 'exit 1' release green 2.0 --token=***" in told
    assert "hunter2" not in told


async def test_a_program_that_is_too_slow_is_named_too() -> None:
    with pytest.raises(ProgramTimedOut, match=r"not done within 0\.01 s \(for blue: sleep 5\)"):
        await Program(argv=("sleep", "5"), timeout=0.01).run("blue", "2.0")


async def test_a_long_command_is_cut() -> None:
    with pytest.raises(StepFailed, match=r"\(for blue: false x{294}…\)"):
        await Program(argv=("false", 1000 * "x")).run("blue", "2.0")
