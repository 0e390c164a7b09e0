"""`healthd completion SHELL`: the script that completes healthd's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from healthd.commands.printing import Printing
from healthd.commands.values import Choice

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "fish": FishComplete, "zsh": ZshComplete}


@click.command(cls=Printing)
@click.argument("shell", metavar="SHELL", type=Choice(sorted(_SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in SHELL.

    SHELL is bash, fish or zsh. For bash: healthd completion bash > /etc/bash_completion.d/healthd
    """
    script = _SHELLS[shell](ctx.find_root().command, {}, "healthd", "_HEALTHD_COMPLETE")
    # Not `source`, which first runs bash to learn its version.
    click.echo(script.source_template % script.source_vars())
