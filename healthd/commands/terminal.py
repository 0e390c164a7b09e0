"""Output for people: fitted to a terminal, and never folded where a file or a program reads it."""

from __future__ import annotations

import click
from rich.console import Console, RenderableType

_UNFOLDED = 10_000  # columns


def terminal(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console of the terminal's width, or without a limit where there is no terminal."""
    console = Console(stderr=stderr, quiet=quiet, highlight=False)
    if not console.is_terminal:
        console.width = _UNFOLDED
    return console


def plain(text: str) -> str:
    """Return text of others in one line that moves no cursor: what cannot be printed is escaped, as `\\n`."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def echo(console: Console, *parts: RenderableType) -> None:
    """Print parts one below the other; where there is no terminal, no line ends with the blanks that fill a column."""
    if console.is_terminal or console.quiet:
        console.print(*parts, sep="\n")
        return
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), err=console.stderr)
