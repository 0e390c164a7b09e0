"""`healthd window add|list|end`: silence, pause or acknowledge checks, and freeze services, in a running daemon."""

from __future__ import annotations

import json
from typing import Any, get_args
from urllib.parse import quote

import click

from healthd.commands.asking import ask, refuse_incomplete
from healthd.commands.options import json_option
from healthd.commands.terminal import plain
from healthd.commands.values import Choice
from healthd.config.window import WindowKind

_KINDS = get_args(WindowKind)
_SUBJECTS = ("checks", "groups", "services")


@click.group()
def window() -> None:
    """Silence, pause or acknowledge checks, put them in maintenance, or freeze services.

    HEALTHD_URL says where the daemon is, HEALTHD_TOKEN holds the token, which needs the scope windows:write.
    """


@window.command()
@click.argument("kind", metavar="KIND", type=Choice(_KINDS))
@click.option("--check", "checks", multiple=True, metavar="NAME", help="A check; * matches any text. May be repeated.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group, whose checks are covered.")
@click.option("--service", "services", multiple=True, metavar="NAME", help="A service, for a freeze.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label that it must have.")
@click.option("--for", "lasts", metavar="DURATION", help="Length, such as 1h; an acknowledgement needs none, nor --to.")
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

    KIND is maintenance, silence, pause, acknowledgement or freeze.

    \b
    healthd window add silence --check 'api-*' --for 1h --reason "a restore"
    healthd window add acknowledgement --check db --reason "looking into it"
    healthd window add freeze --service checkout --for 2h --reason "sale"
    """
    body = {"kind": kind, "checks": checks, "groups": groups, "services": services, "labels": _labels(labels)}
    times = {"for": lasts, "from": start, "to": end}
    given = {key: value for key, value in {**body, **times, "reason": reason}.items() if value}
    document = ask("POST", "/windows", "stored", body=given)
    click.echo(json.dumps(document, indent=2)) if as_json else click.echo(_line(document))
    if not document["stored"]:
        click.echo("the journal cannot be used: in force on this replica alone until it can", err=True)


@window.command("list")
@json_option
def list_windows(as_json: bool) -> None:
    """List the windows that are not over, the first to end first."""
    document = ask("GET", "/windows", "windows")
    if as_json:
        click.echo(json.dumps(document, indent=2))
    for each in () if as_json else document["windows"]:
        alone = " (not in the journal yet: on this replica alone)" if each.get("stored") is False else ""
        click.echo(f"{_line(each)}{alone}")
    refuse_incomplete(document, "windows")
    if not (document["windows"] or as_json):
        click.echo("no windows, but for those of the configuration", err=True)


@window.command()
@click.argument("id")
@json_option
def end(id: str, as_json: bool) -> None:  # noqa: A002 - click names the argument
    """End the window ID now; the beginning of an id will do, if no other has it."""
    document = ask("DELETE", f"/windows/{quote(id, safe='')}", "stored")
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
    times = f"{it['from']} until healthy" if "until_healthy" in it else f"{it['from']} to {it['to']}"
    return plain(f"{it['id']}  {it['kind']} of {' '.join(named)}, {times}, by {it['author']}: {it['reason']}")
