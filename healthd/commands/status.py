"""`healthd status URL`: what a running daemon says."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import aiohttp
import click

from healthd.commands.options import json_option
from healthd.commands.table import add_row, empty_table, showing
from healthd.model import Status

_COULD_NOT_ASK = 3


@click.command()
@click.argument("url", default=lambda: os.environ.get("HEALTHD_URL", "http://127.0.0.1:8080"))
@json_option
@click.option("--group", metavar="NAME", help="Ask for one group only, such as live or ready.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for the answer.")
def status(url: str, as_json: bool, group: str | None, timeout: float) -> None:
    """Ask a running daemon how things stand.

    URL defaults to $HEALTHD_URL; $HEALTHD_TOKEN is sent as bearer token and brings the details. Exit code 0 when it
    is up, 1 when it is not, 3 when it could not be asked.
    """
    try:
        path = f"/health/{group}" if group else "/health"
        code, document = asyncio.run(_ask(url.rstrip("/") + path, timeout))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        click.echo(f"{url} could not be asked: {str(error) or type(error).__name__}", err=True)
        sys.exit(_COULD_NOT_ASK)
    if code not in (200, 503) or not {"overall", "status"} & document.keys():
        click.echo(f"{url} answered {code}: {document.get('detail') or 'this is not a healthd'}", err=True)
        sys.exit(_COULD_NOT_ASK)
    click.echo(json.dumps(document, indent=2)) if as_json else _print(document)
    sys.exit(0 if code == 200 else 1)


async def _ask(url: str, within: float) -> tuple[int, dict[str, Any]]:
    token = os.environ.get("HEALTHD_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=within)
    async with aiohttp.ClientSession(timeout=limit, headers=headers) as session, session.get(url) as response:
        document = json.loads(await response.text())
        return response.status, document if isinstance(document, dict) else {}


def _print(document: dict[str, Any]) -> None:
    if "overall" in document:
        click.echo(f"{document['overall']} · {document['environment']} · version {document['version']}")
    else:
        click.echo(document["status"])
    table = empty_table()
    for name, check in document.get("checks", {}).items():
        found = check.get("message", "")
        add_row(table, name, Status(check["status"]), check.get("kind", ""), check.get("duration"), found)
    if table.rows:
        with showing(quiet=False) as show:
            show(table)
