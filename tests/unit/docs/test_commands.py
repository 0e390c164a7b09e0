"""Every command line of the documentation is one that the command takes: its words, options and arguments exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from healthd.cli import main as healthd
from healthd_deploy.cli import main as healthd_deploy

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
COMMANDS: dict[str, click.Command] = {"healthd": healthd, "healthd-deploy": healthd_deploy}
_BLOCK = re.compile(r"^```(?:console|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:healthd|healthd-deploy) [^`\n]+)`")
_ENDS = ("|", "||", "&&", ";", "&", ">", "2>", "<", "#")  # what a shell takes for itself


def of_blocks(text: str) -> Iterator[str]:
    """Lines of what is typed; in a console only those behind a prompt."""
    for block in _BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = any(line.startswith("$ ") for line in lines)
        for line in lines:
            typed = line.removeprefix("$ ") if line.startswith("$ ") else "" if prompted else line
            if re.match(r"(healthd|healthd-deploy) [a-z-]", typed):
                yield typed


def words_of(line: str) -> list[str]:
    words = []
    for word in shlex.split(line, comments=True):
        if word in _ENDS or re.match(r"[0-9]?[<>]", word):
            break
        words.append(word.rstrip(";"))
    return words


def complaint(words: list[str]) -> str | None:
    """What click says of a command line that it cannot read; nothing is run. That a file is not there is no fault."""
    command: click.Command = COMMANDS[words[0]]
    parent, args = None, words[1:]
    try:
        while isinstance(command, click.Group):
            with command.make_context(words[0], list(args), parent=parent) as parent:
                rest = [*parent._protected_args, *parent.args]
                _, found, args = command.resolve_command(parent, rest)
                assert found is not None
                command = found
        command.make_context(words[0], list(args), parent=parent)
    except click.MissingParameter as said:
        return said.format_message()
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError, click.BadParameter):
        return None
    except click.UsageError as said:
        return said.format_message()
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_the_docs_are_taken(page: Path) -> None:
    """In prose an argument may be left out; what is written is right."""
    text = page.read_text(encoding="utf-8")
    wrong = [f"{line}: {said}" for line in of_blocks(text) if (said := complaint(words_of(line)))]
    for line in _INLINE.findall(text):
        said = complaint(words_of(line)) if "…" not in line or "--reason" in line else None
        if said and not re.search("missing|requires an argument", said, re.IGNORECASE):
            wrong.append(f"{line}: {said}")
    assert wrong == []
