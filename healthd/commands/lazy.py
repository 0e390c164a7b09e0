"""A group of commands that are imported when they are called: neither `--help` nor completion waits for any of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

Registry = Mapping[str, tuple[str, str]]
"""By its word: where a command is, as `module:name`, and the sentence about it in the list of commands."""


class LazyGroup(click.Group):
    """The commands of a registry."""

    def __init__(self, *args: Any, registry: Registry, **more: Any) -> None:
        super().__init__(*args, **more)
        self.registry = registry

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.registry)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.registry:
            return None
        module, _, name = self.registry[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(word, self.registry[word][1]) for word in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        words = [word for word in self.list_commands(ctx) if word.startswith(incomplete)]
        commands = [CompletionItem(word, help=self.registry[word][1]) for word in words]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]
