"""`healthd run`: the daemon itself."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import click

from healthd.app.daemon import Daemon
from healthd.commands.options import config_option, settings_or_exit
from healthd.registry import leaving_out_drivers
from healthd.runtime import loop
from healthd.web.server import CannotListenError

_LEAVING = 3.0  # seconds that the interpreter gets to exit


@click.command()
@config_option
def run(config_file: Path | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP reads the configuration again."""
    with leaving_out_drivers():  # they are loaded once health is served
        settings = settings_or_exit(config_file)

    async def serve() -> None:
        await Daemon(settings, config_file).run()

    try:
        loop.run(serve())
    except CannotListenError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    _leave_in_time()


def _leave_in_time() -> None:
    """The interpreter joins every thread of every executor before it ends; one that hangs in a driver never comes."""
    ending = threading.Timer(_LEAVING, os._exit, (0,))
    ending.daemon = True
    ending.start()
