"""The command, as real child processes."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from healthd_gates.actions.contract import ActionConfig, Ending
from healthd_gates.domain.request import Version
from healthd_gates.sources.contract import ArmError
from tests.integration.gates.actions.ordering import configured, described, order, tried
from tests.servers.waiting import until


def command(*argv: object, **changes: Any) -> ActionConfig:
    return configured(kind="command", argv=[str(word) for word in argv], **changes)


def python(source: str, *more: str, **changes: Any) -> ActionConfig:
    return command(sys.executable, "-c", source, *more, **changes)


async def test_it_is_done_once_it_exits_with_0() -> None:
    """Its output is kept."""
    outcome = await tried(python("print('switched')"), order())
    assert (outcome.ending, outcome.detail) == (Ending.DONE, "exit code 0: switched")


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("import sys; print('no such host', file=sys.stderr); sys.exit(3)", "exit code 3: no such host"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
async def test_any_other_end_is_tried_again(source: str, detail: str) -> None:
    """With its code, or the signal, and what it said."""
    outcome = await tried(python(source), order())
    assert (outcome.ending, outcome.detail) == (Ending.RETRY, detail)


async def test_it_can_say_that_there_is_no_baseline() -> None:
    """By an exit code that the configuration names."""
    outcome = await tried(python("raise SystemExit(69)", no_baseline_exit=69), order())
    assert outcome.ending is Ending.NO_BASELINE


async def test_placeholders_stand_for_fields_of_the_gate_and_no_shell_reads_them() -> None:
    """Each stays one argument, whatever is in it."""
    source = "import sys; print(sys.argv[1:])"
    argv = ("$service", "to=$baseline_target", "$candidate", "$key", "; echo `id` | cat")
    outcome = await tried(python(source, *argv), order(Version(version="2.0+a~b")))
    said = "['api', 'to=blue', '2.0+a~b', '0123:rollback:back', '; echo `id` | cat']"
    assert outcome.detail == f"exit code 0: {said}"


async def test_a_shell_of_its_own_gets_its_dollar_signs() -> None:
    """Its arguments and special parameters as they stand, a variable and a placeholder's name by two dollar signs."""
    script = 'echo "$1 to $2, $# words, $?, ${3:-none}, $$HEALTHD_SERVICE and $$service"'
    outcome = await tried(command("/bin/sh", "-c", script, "sh", "$candidate", "$baseline_target"), order())
    assert outcome.detail == "exit code 0: 2.0 to blue, 2 words, 0, none, api and"


async def test_its_environment_is_clean() -> None:
    """PATH, what it is told of the gate, and what the configuration hands on; nothing of the daemon's own."""
    source = "import os; print(sorted(os.environ.items()))"
    config = python(source, pass_env=["LANG", "ABSENT"], env={"REGION": "eu"})
    outcome = await tried(config, order(), {"LANG": "C.UTF-8", "DATABASE_PASSWORD": "hunter2hunter2"})
    told = dict(eval(outcome.detail.removeprefix("exit code 0: ").replace("***", "")))
    assert "DATABASE_PASSWORD" not in told
    assert (told["LANG"], told["HEALTHD_IDEMPOTENCY_KEY"]) == ("C.UTF-8", "0123:rollback:back")
    assert (told["HEALTHD_BASELINE"], told["HEALTHD_CANDIDATE_TARGET"]) == ("1.0", "green")


async def test_secrets_it_was_given_are_not_in_what_is_kept() -> None:
    """Neither those of the configuration nor variables that were handed on."""
    source = "import os; print(os.environ['API_TOKEN'], os.environ['DEPLOY_KEY'])"
    config = python(source, pass_env=["API_TOKEN"], env={"DEPLOY_KEY": "correct-horse"})
    outcome = await tried(config, order(), {"API_TOKEN": "battery-staple"})
    assert outcome.detail == "exit code 0: *** ***"


async def test_a_dry_run_shows_the_words_that_then_run() -> None:
    """With the key that the action has."""
    config = python("import sys; print(*sys.argv[1:])", "$service", "$baseline_target", "$key")
    told, outcome = await described(config, order()), await tried(config, order())
    assert outcome.detail.partition(": ")[2] == "api blue 0123:rollback:back"
    assert "api blue 0123:rollback:back" in told


async def test_only_the_end_of_much_output_is_kept() -> None:
    """A command that writes without end neither fills the memory nor hangs."""
    outcome = await tried(python("import sys; sys.stdout.write('x' * 50_000_000 + 'the end')"), order())
    assert outcome.ending is Ending.DONE
    assert len(outcome.detail) <= 2000
    assert outcome.detail.endswith("the end")


async def test_half_a_secret_is_not_kept_either() -> None:
    """One that begins before the end that is kept is replaced before that is cut off."""
    source = "import os; print((os.environ['DEPLOY_KEY'] + ' ') * 500)"
    outcome = await tried(python(source, env={"DEPLOY_KEY": "correct-horse-battery-staple"}), order())
    assert set(outcome.detail.partition(": ")[2].lstrip("…").split()) <= {"***", "**", "*"}


@pytest.mark.parametrize("after", ["None", "sys.exit()"], ids=["goes on", "ends"])
async def test_at_its_timeout_the_whole_group_ends(tmp_path: Path, after: str) -> None:
    """It is asked first, then killed with all that it started."""
    note = tmp_path / "pids"
    source = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        " signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('asked to end', flush=True), {after}))\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "while True: time.sleep(1)\n"
    )
    source = source.replace("{after}", after)
    begun = time.monotonic()
    outcome = await tried(python(source, timeout="5s", grace_period="500ms"), order())
    assert time.monotonic() - begun < 30  # which what it started would outlive
    assert outcome.ending is Ending.RETRY
    assert outcome.detail.startswith("stopped after 3.5 s of its 5 s")
    for pid in map(int, note.read_text().split()):
        await until(partial(_is_gone, pid), f"the end of {pid}")


async def test_what_it_leaves_running_does_not_keep_the_try_open() -> None:
    """A grandchild that holds on to the output is nobody's business once the command has ended well."""
    source = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    begun = time.monotonic()
    outcome = await tried(python(source), order())
    assert time.monotonic() - begun < 30
    assert outcome.ending is Ending.DONE
    os.kill(int(outcome.detail.rpartition(" ")[2]), signal.SIGKILL)


@pytest.mark.parametrize(("program", "says"), [("/nowhere/at-all", "No such file"), ("/etc/passwd", "Permission")])
async def test_a_program_that_cannot_be_run_is_an_outcome(program: str, says: str) -> None:
    """It may be installed later."""
    outcome = await tried(command(program), order())
    assert outcome.ending is Ending.RETRY
    assert says in outcome.detail


async def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    """It shows the words as they would be."""
    told = await described(command("touch", f"{tmp_path}/$candidate"), order())
    assert told == f"run touch {tmp_path}/2.0 in /"
    assert not list(tmp_path.iterdir())


def test_a_gate_that_lacks_what_the_command_needs_is_refused_at_its_start() -> None:
    """The field is named."""
    arms = order().arms
    config = command("switch", "$baseline_target")
    config.check(arms)
    with pytest.raises(ArmError, match=r"baseline\.target: the command's \$baseline_target needs it"):
        config.check(type(arms)(arms.service, arms.candidate))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"argv": []}, "at least 1"),
        ({"argv": ["$candidate"]}, "no placeholder in the first word"),
        ({"argv": ["x", "$version"]}, r"\$version is not one of \$service"),
        ({"argv": ["x", "$HOME"]}, r"To hand \$HOME itself to the program, write \$\$\$\$HOME"),
        ({"argv": ["x", "$baseline-target and $basline"]}, "Did you mean baseline?"),
        ({"argv": ["x"], "pass_env": ["A=B"]}, "not the name of a variable"),
        (
            {"argv": ["x"], "env": {"HEALTHD_GATE": "x"}},
            "HEALTHD_GATE cannot be set here: names that begin with HEALTHD_.*Give it another name",
        ),
        ({"argv": "rm -rf /"}, "tuple"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the reason."""
    with pytest.raises(ValidationError, match=message):
        configured(kind="command", **changes)


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
