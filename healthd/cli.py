"""The command line. Each family of commands is a file of `healthd.commands`; the gate brings its own."""

from __future__ import annotations

from importlib import import_module

import click

from healthd import __version__

# Loaded when called, so that `healthd --help` does not wait for what it does not need.
_COMMANDS = {
    "check": "healthd.commands.suite:check",
    "completion": "healthd.commands.completion:completion",
    "config": "healthd.commands.config:config",
    "gate": "gates.cli:gate",
    "preflight": "healthd.commands.suite:preflight",
    "run": "healthd.commands.run:run",
    "status": "healthd.commands.status:status",
    "token": "healthd.commands.token:token",
}


class _Lazy(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="healthd")
def main() -> None:
    """Health checks that never lie, and deployment gates that decide on evidence."""
