"""Commands are listed without being imported, and what the list says of them is true."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from healthd.cli import main as healthd
from healthd.commands.lazy import LazyGroup
from healthd_deploy.cli import main as deploy
from healthd_gates.cli import gate

GROUPS = {"healthd": healthd, "healthd gate": gate, "healthd-deploy": deploy}


@pytest.mark.parametrize("name", GROUPS)
def test_the_list_says_what_each_command_says_of_itself(name: str) -> None:
    """Its first sentence, word by word, and each command is where the list says."""
    group = GROUPS[name]
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    for word, (_, sentence) in group.registry.items():
        command = group.get_command(context, word)
        assert command is not None
        assert command.get_short_help_str(limit=1000) == sentence


@pytest.mark.parametrize("name", GROUPS)
def test_help_lists_every_command(name: str) -> None:
    """By its word."""
    shown = CliRunner().invoke(GROUPS[name], ["--help"]).output
    commands = shown.partition("Commands:\n")[2]
    assert [line.split()[0] for line in commands.splitlines() if line[2:3].strip()] == sorted(GROUPS[name].registry)


@pytest.mark.parametrize("name", GROUPS)
def test_the_commands_of_each_group_are_known_without_it(name: str) -> None:
    """So that a word of another group is found."""
    group = GROUPS[name]
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    commands = {word: group.get_command(context, word) for word in group.registry}
    groups = {word: each for word, each in commands.items() if isinstance(each, click.Group)}
    assert {word: sorted(words) for word, words in group.groups.items()} == {
        word: sorted(each.list_commands(context)) for word, each in groups.items()
    }


@pytest.mark.parametrize("words", [["healthd.cli"], ["healthd.cli", "gate"], ["healthd_deploy.cli"]], ids=" ".join)
def test_help_imports_none_of_them(words: list[str]) -> None:
    """Nor what they stand on: it comes at once."""
    program = (
        "import importlib, sys\n"
        "try: importlib.import_module(sys.argv[1]).main(sys.argv[2:])\n"
        "except SystemExit: pass\n"
        "sys.exit(', '.join({'pydantic', 'aiohttp', 'sqlalchemy', 'rich'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", program, *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ")


def test_to_check_a_configuration_takes_no_client_and_no_database(tmp_path: Path) -> None:
    """A person waits for it, and a pipeline asks it for each of its files."""
    file = tmp_path / "healthd.yaml"
    file.write_text("checks: {db: {kind: tcp, host: 127.0.0.1, port: 5432, critical: true}}\n")
    program = (
        "import sys; from healthd.cli import main\n"
        "try: main(['config', 'check', sys.argv[1]])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "sys.exit(', '.join({'aiohttp', 'sqlalchemy', 'rich'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 checks run" in done.stdout


def test_a_client_of_the_gate_needs_no_database() -> None:
    """Nor what the daemon alone stands on."""
    program = (
        "import sys, healthd_gates.client.client; "
        "sys.exit(', '.join({'sqlalchemy', 'apscheduler'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["verify"], "healthd gate verify"),
        (["stauts"], "status"),
        (["gate", "lits"], "list"),
        (["gate", "plan"], "simulate"),
        (["gate", "status"], "healthd status"),
    ],
)
def test_a_mistyped_command_imports_none(words: list[str], meant: str) -> None:
    """Which one was meant is known from the lists."""
    program = (
        "import sys; from healthd.cli import main\n"
        "try: main(sys.argv[1:], prog_name='healthd')\n"
        "except SystemExit: pass\n"
        "sys.exit(', '.join({'pydantic', 'aiohttp', 'asyncio'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Did you mean {meant}?" in done.stderr


def test_words_are_completed() -> None:
    """With the sentence of each."""
    found = BashComplete(healthd, {}, "healthd", "_HEALTHD_COMPLETE").get_completions(["gate"], "re")
    assert [item.value for item in found] == ["reject", "replay", "report", "resume"]
    assert found[1].help == "Run a policy over the past."
