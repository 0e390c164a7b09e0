"""`healthd run`: the daemon itself."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from healthd.app.daemon import Daemon
from healthd.commands.options import config_option, settings_or_exit
from healthd.config.listen_address import split_address
from healthd.registry import leaving_out_drivers
from healthd.runtime import loop
from healthd.web.server import CannotListenError

_ANSWERS = ": healthd itself answers there already; stop that one first, or have it read its file again by SIGHUP"
_LARGEST = 65536  # bytes of an answer
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
        told = _ANSWERS if _answers(error.address) else ""
        click.echo(f"{error}{told}", err=True)
        sys.exit(1)
    _leave_in_time()


def _answers(address: str) -> bool:
    """True if another healthd has the address."""
    host, port = split_address(address)
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = HTTPConnection(here, port, timeout=1)
    try:
        connection.request("GET", "/health/live")
        found = json.loads(connection.getresponse().read(_LARGEST))
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(found, dict) and {"status", "timestamp"} <= found.keys()


def _leave_in_time() -> None:
    """The interpreter joins every thread of every executor before it ends; one that hangs in a driver never comes."""
    ending = threading.Timer(_LEAVING, os._exit, (0,))
    ending.daemon = True
    ending.start()
