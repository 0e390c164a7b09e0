"""Every command of both command lines."""

from collections.abc import Iterator

import click

from healthd.cli import main as healthd
from healthd_deploy.cli import main as healthd_deploy

WIDTH = 78
"""Columns that click fills where the terminal has 80."""


def every_command() -> Iterator[click.Context]:
    """Yield the context of each command and group, as a terminal of 80 columns would show its help."""
    for name, command in (("healthd", healthd), ("healthd-deploy", healthd_deploy)):
        context = click.Context(command, info_name=name, terminal_width=WIDTH, **command.context_settings)
        yield from _below(context)


def _below(context: click.Context) -> Iterator[click.Context]:
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from _below(click.Context(command, info_name=name, parent=context))
