"""The commands of the runbooks: each one exists, takes what it is given, and says where its arguments come from."""

import re
import shlex
from pathlib import Path

import click
import pytest

from healthd.cli import main

RUNBOOKS = sorted(Path("docs/runbooks").glob("*.md"))
COMMANDS = [
    pytest.param(page, " ".join(command.split()), id=f"{page.stem}: {' '.join(command.split())}")
    for page in RUNBOOKS
    for command in re.findall(r"`(healthd(?: [^`]*)?)`", page.read_text())
    if " " in command
]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_one(page: Path, command: str, tmp_path: Path) -> None:
    """As the command line itself reads it, down to its last option."""
    file = tmp_path / "config.yaml"
    file.touch()
    words = shlex.split(command.replace("pass|fail", "pass").replace("…", "because").replace("FILE", str(file)))[1:]
    group: click.Command = main
    context = click.Context(main)
    while isinstance(group, click.Group):
        found = group.get_command(context, words[0])
        assert found is not None, f"there is no {words[0]}"
        group, words = found, words[1:]
    group.make_context(group.name, words)  # raises UsageError for what it does not take


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_an_argument_says_where_it_comes_from(page: Path, command: str) -> None:
    """Who reads a page at night has nothing but the alert."""
    explained = page.read_text() + Path("docs/runbooks/README.md").read_text() * (page.stem == "README")
    for argument in set(re.findall(r"\b[A-Z]{4,}\b", command)) - {"VERSION"}:
        assert re.search(rf"`{argument}` is|the {argument} that", explained), f"{argument} is explained nowhere"
