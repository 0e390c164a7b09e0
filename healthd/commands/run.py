"""`healthd run`: the daemon itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from healthd import loop
from healthd.app import Daemon
from healthd.commands.options import config_option, reason, settings_or_exit


@click.command()
@config_option
def run(config_file: Path | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP reads the configuration again."""
    settings = settings_or_exit(config_file)

    async def serve() -> None:
        await Daemon(settings, config_file).run()

    try:
        loop.run(serve())
    except OSError as error:
        click.echo(f"cannot listen on {settings.http.listen}: {reason(error)}", err=True)
        sys.exit(1)
