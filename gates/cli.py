"""`healthd gate`: which commands there are, and exit codes that never turn an accident into a verdict."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Any

import click

from gates.commands.codes import COULD_NOT_ASK, INTERRUPTED

# Loaded when called, so that `healthd gate --help` does not wait for what it does not need.
_COMMANDS = {
    "cancel": "gates.commands.act:cancel",
    "list": "gates.commands.look:list_gates",
    "lock": "gates.commands.locks:lock",
    "locks": "gates.commands.locks:locks",
    "plan": "gates.commands.plan:plan",
    "quarantine": "gates.commands.locks:quarantine",
    "release": "gates.commands.locks:release",
    "replay": "gates.commands.replay:replay_command",
    "resolve": "gates.commands.act:resolve",
    "rollback": "gates.commands.act:rollback",
    "show": "gates.commands.look:show",
    "unlock": "gates.commands.locks:unlock",
    "verify": "gates.commands.verify:verify",
    "watch": "gates.commands.look:watch",
}


class _Gate(click.Group):
    """A group whose commands are imported by name, and whose accidents all end with the same code.

    Python ends a crash with 1 and click a typing error with 2, which a pipeline would read as a verdict.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.show()
            sys.exit(COULD_NOT_ASK)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.exceptions.Exit:
            raise
        except Exception:
            traceback.print_exc()
            sys.exit(COULD_NOT_ASK)


@click.group(cls=_Gate)
def gate() -> None:
    """Ask a daemon whether a deploy may stay, and look after its gates.

    \b
    HEALTHD_URL    where the daemon is (http://127.0.0.1:8080)
    HEALTHD_TOKEN  the bearer token to send

    \b
    Exit codes: 0 passed · 1 failed · 2 inconclusive · 3 could not ask · 130 interrupted.
    Only 0 promotes. The other commands end with 0 when done and 3 when not.
    """
