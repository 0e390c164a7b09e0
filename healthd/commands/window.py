"""`healthd window add|list|end`: silence, pause or acknowledge checks, and freeze services, in a running daemon."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, get_args

import aiohttp
import click
from yarl import URL

from healthd.checks.unreachable import why_not_asked
from healthd.commands.options import json_option
from healthd.config.window import WindowKind

_COULD_NOT_ASK = 3
_WITHIN = 10.0  # seconds
_SUBJECTS = ("checks", "groups", "services")


@click.group()
def window() -> None:
    """Silence, pause or acknowledge checks, put them in maintenance, or freeze services.

    HEALTHD_URL says where the daemon is, HEALTHD_TOKEN holds the token, which needs the scope windows:write.
    """


@window.command()
@click.argument("kind", type=click.Choice(get_args(WindowKind)))
@click.option("--check", "checks", multiple=True, metavar="NAME", help="A check; * matches any text. May be repeated.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group, whose checks are covered.")
@click.option("--service", "services", multiple=True, metavar="NAME", help="A service, for a freeze.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label that it must have.")
@click.option("--for", "lasts", metavar="DURATION", help="Length, such as 1h or 1h30m.")
@click.option("--from", "start", metavar="TIME", help="Start, as 2026-12-01T01:00:00Z; now by default.")
@click.option("--to", "end", metavar="TIME", help="End, instead of --for.")
@click.option("--reason", required=True, help="The reason, which is shown beside what is covered.")
@json_option
def add(
    kind: str,
    checks: tuple[str, ...],
    groups: tuple[str, ...],
    services: tuple[str, ...],
    labels: tuple[str, ...],
    lasts: str | None,
    start: str | None,
    end: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Put a window of KIND in force.

    \b
    healthd window add silence --check 'api-*' --for 1h --reason "restoring the replica"
    healthd window add acknowledgement --check postgresql --reason "looking into it"
    healthd window add freeze --service checkout --for 2h --reason "sale"
    """
    body = {"kind": kind, "checks": checks, "groups": groups, "services": services, "labels": _labels(labels)}
    times = {"for": lasts, "from": start, "to": end}
    given = {key: value for key, value in {**body, **times, "reason": reason}.items() if value}
    document = _ask("POST", "/windows", given)
    click.echo(json.dumps(document, indent=2)) if as_json else click.echo(_line(document))
    if not document["stored"]:
        click.echo("the journal cannot be used: in force on this replica alone until it can", err=True)


@window.command("list")
@json_option
def list_windows(as_json: bool) -> None:
    """List the windows that are not over, the first to end first."""
    document = _ask("GET", "/windows")
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    for each in document["windows"]:
        click.echo(_line(each))
    if not document["windows"]:
        click.echo("no windows, but for those of the configuration", err=True)


@window.command()
@click.argument("id")
@json_option
def end(id: str, as_json: bool) -> None:  # noqa: A002 - click names the argument
    """End the window ID now."""
    document = _ask("DELETE", f"/windows/{id}")
    click.echo(json.dumps(document, indent=2)) if as_json else click.echo(f"ended: {_line(document)}")
    if not document["stored"]:
        click.echo("the journal cannot be used: ended on this replica alone until it can", err=True)


def _labels(given: tuple[str, ...]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"write NAME=VALUE, not {each!r}", param_hint="--label")
        labels.setdefault(name, []).append(value)
    return labels


def _line(it: dict[str, Any]) -> str:
    named = [f"{', '.join(it[key])}" for key in _SUBJECTS if key in it]
    named += [f"{name}={'|'.join(values)}" for name, values in it.get("labels", {}).items()]
    return (
        f"{it['id']}  {it['kind']} of {' '.join(named)}, {it['from']} to {it['to']}, by {it['author']}: {it['reason']}"
    )


def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the daemon's answer. Ends the program with 1 when it refuses, with 3 when it cannot be asked."""
    url = os.environ.get("HEALTHD_URL", "http://127.0.0.1:8080")
    try:
        status, document = asyncio.run(_call(method, URL(url.rstrip("/") + path, encoded=True), body))
    except (aiohttp.ClientError, TimeoutError) as error:
        click.echo(f"{why_not_asked(error, url, _WITHIN)}", err=True)
        sys.exit(_COULD_NOT_ASK)
    except ValueError:
        click.echo(f"{url} answers, and not with JSON: is this the address of healthd?", err=True)
        sys.exit(_COULD_NOT_ASK)
    if status >= 400 or not isinstance(document, dict):
        title, detail = (document.get("title"), document.get("detail")) if isinstance(document, dict) else (None, None)
        click.echo(f"refused ({status}): {detail or title or 'no reason was given'}", err=True)
        sys.exit(_COULD_NOT_ASK if status in (401, 403) or status >= 500 else 1)
    return document


async def _call(method: str, url: URL, body: dict[str, Any] | None) -> tuple[int, Any]:
    token = os.environ.get("HEALTHD_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=_WITHIN)
    async with (
        aiohttp.ClientSession(timeout=limit, headers=headers) as session,
        session.request(method, url, json=body, allow_redirects=False) as response,
    ):
        return response.status, json.loads(await response.text())
