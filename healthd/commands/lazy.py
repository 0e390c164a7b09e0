"""A group of commands that are imported when they are called: neither `--help` nor completion waits for any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from healthd.commands.values import refuse_empty
from healthd.nearest import did_you_mean

Registry = Mapping[str, tuple[str, str]]
"""Location of each command as `module:name`, and its sentence in the list of commands, by the command's name."""

_ELSEWHERE = {"plan": "simulate", "forecast": "simulate", "predict": "simulate"}
"""Commands of ours by the words that people look for them with."""


class LazyGroup(click.Group):
    """Group with the commands of a registry."""

    def __init__(
        self, *args: Any, registry: Registry, groups: Mapping[str, Sequence[str]] | None = None, **more: Any
    ) -> None:
        """Create the group. `groups` names the commands of those that are groups themselves."""
        super().__init__(*args, **more)
        self.registry, self.groups = registry, groups or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.registry)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.registry:
            return None
        module, _, name = self.registry[cmd_name][0].partition(":")
        from healthd.runtime.entry_points import read_once
        from healthd.runtime.lean_trust import reading_when_used  # `--help` needs neither

        with reading_when_used(), read_once():
            command: click.Command = getattr(import_module(module), name)
        refuse_empty(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As of any group; of a word that is no command it says which one was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0] in self.registry or args[0].startswith("-"):
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}.{self._meant(ctx, args[0])}", ctx) from None

    def _meant(self, ctx: click.Context, word: str) -> str:
        """The commands of other groups that go by this word, or the one here that is most like it."""
        if groups := [other for other, words in self.groups.items() if word in words]:
            return f" Did you mean {' or '.join(f'{ctx.command_path} {other} {word}' for other in groups)}?"
        parent = ctx.parent
        if parent is not None and isinstance(parent.command, click.Group) and word in parent.command.list_commands(ctx):
            return f" Did you mean {parent.command_path} {word}?"
        return did_you_mean(_ELSEWHERE.get(word, word), self.registry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(word, self.registry[word][1]) for word in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        words = [word for word in self.list_commands(ctx) if word.startswith(incomplete)]
        commands = [CompletionItem(word, help=self.registry[word][1]) for word in words]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]
