"""`healthd incident open|update|resolve|withdraw|list`: what customers read on the public pages of a running daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args
from urllib.parse import quote

import click

from healthd.commands.asking import ask, refuse_incomplete
from healthd.commands.options import json_option
from healthd.commands.terminal import plain
from healthd.commands.values import Choice
from healthd.config.incident import OVER, Impact, IncidentState

_STATES = Choice(get_args(IncidentState))
_IMPACTS = Choice(get_args(Impact))
_component = click.option(
    "--component", "components", multiple=True, metavar="NAME", help="A component that is affected; '*' means all."
)


def _times(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of planned maintenance."""
    for option in (
        click.option("--to", metavar="TIME", help="End of planned maintenance."),
        click.option(
            "--for", metavar="DURATION", help="Length of planned maintenance from its begin, instead of --to."
        ),
        click.option("--from", metavar="TIME", help="Begin of planned maintenance, as 2026-12-01T01:00:00Z."),
    ):
        command = option(command)
    return command


@click.group()
def incident() -> None:
    """Tell customers of incidents, on the public pages.

    HEALTHD_URL says where the daemon is, HEALTHD_TOKEN holds the token, which needs the scope incidents:write.
    """


@incident.command("open")
@click.argument("title")
@click.option("--text", metavar="TEXT", help="The first update; line breaks begin paragraphs.")
@click.option("--page", "pages", multiple=True, metavar="NAME", help="A page that shows it, where there are several.")
@_component
@click.option("--impact", type=_IMPACTS, help="State of the components: degraded by default; none announces.")
@click.option("--state", type=_STATES, help="How far it is; investigating by default.")
@_times
@click.option("--window", is_flag=True, help="Put a maintenance window in force with it, of the components' checks.")
@json_option
def open_incident(as_json: bool, **given: Any) -> None:
    """Open an incident with a TITLE that customers read, or announce something.

    \b
    healthd incident open "Payments fail" --component Checkout --impact outage \\
        --text "We look into it."
    healthd incident open "We move on Sunday" --impact none \\
        --text "From 8 to 10 the shop is closed."
    healthd incident open "New database" --component Checkout --window \\
        --from 2026-12-06T08:00:00Z --for 2h --text "Orders wait."
    """
    _print(ask("POST", "/incidents", "stored", body=_given(given)), as_json=as_json)


@incident.command()
@click.argument("id")
@click.option("--text", metavar="TEXT", help="What is new; line breaks begin paragraphs.")
@click.option("--state", type=_STATES, help="How far it is.")
@click.option("--reopen", is_flag=True, help="Open again what is over; investigating, unless --state says otherwise.")
@click.option("--impact", type=_IMPACTS, help="State of the components from now on.")
@click.option("--title", metavar="TITLE", help="Another title.")
@_component
@_times
@json_option
def update(id: str, as_json: bool, **given: Any) -> None:  # noqa: A002 - click names the argument
    """Add an update to the incident ID; the beginning of an id will do, if no other has it.

    \b
    healthd incident update 5f0c --state identified \\
        --text "A network device has failed."
    """
    _print(ask("POST", f"{_path(id)}/updates", "stored", body=_given(given)), as_json=as_json)


@incident.command()
@click.argument("id")
@click.option("--text", metavar="TEXT", help="What customers read about its end.")
@json_option
def resolve(id: str, text: str | None, as_json: bool) -> None:  # noqa: A002
    """Say that the incident ID is over, or take an announcement from the page. Planned maintenance is completed now, or
    cancelled where it has not begun."""
    body = _given({"text": text, "state": "resolved"})
    _print(ask("POST", f"{_path(id)}/updates", "stored", body=body), as_json=as_json)


@incident.command()
@click.argument("id")
@json_option
def withdraw(id: str, as_json: bool) -> None:  # noqa: A002
    """Take the incident ID with all its updates from the pages: it should never have been there."""
    document = ask("DELETE", _path(id), "stored")
    if not as_json:
        click.echo("withdrawn: ", nl=False)
    _print(document, as_json=as_json)


@incident.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@json_option
def list_incidents(every: bool, as_json: bool) -> None:
    """List the incidents that are open."""
    document = ask("GET", "/incidents", "incidents")
    shown = [it for it in document["incidents"] if every or it["state"] not in OVER]
    if as_json:
        click.echo(json.dumps({**document, "incidents": shown}, indent=2))
    for each in () if as_json else shown:
        click.echo(_line(each))
    refuse_incomplete(document, "incidents")
    if not (shown or as_json):
        click.echo("no incidents" if every else "no incident is open", err=True)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value}


def _path(key: str) -> str:
    return f"/incidents/{quote(key, safe='')}"


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    click.echo(json.dumps(document, indent=2)) if as_json else click.echo(_line(document))
    if not document["stored"]:
        click.echo("the journal cannot be used: shown by this replica alone until it can", err=True)


def _line(it: dict[str, Any]) -> str:
    about, state = ", ".join(it["components"]) or "no component", it["state"].replace("_", " ")
    if it["impact"] == "none":
        kind = "announcement, over" if it["state"] == "resolved" else "announced"
    else:
        kind = f"{'maintenance' if 'from' in it else it['impact']} of {about}, {state}"
    when = f", {it['from']} to {it['to']}" if "from" in it else f" since {it['since']}"
    latest = it["updates"][0]["at"]
    updated = "" if latest == it["since"] else f", updated {latest}"
    return plain(f"{it['id']}  {it['title']}: {kind}{when}{updated}, on {', '.join(it['pages'])}")
