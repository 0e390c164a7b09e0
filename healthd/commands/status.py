"""`healthd status URL`: prints the status that a running daemon reports."""

from __future__ import annotations

import json
import sys
from typing import Any

import aiohttp
import click
from yarl import URL

from healthd.checks.unreachable import why_not_asked
from healthd.commands.calling import UNLIMITED, answered_within
from healthd.commands.daemon import (
    address_of_daemon,
    fail,
    problem_with,
    telling_if_late,
    token_of_caller,
)
from healthd.commands.options import Seconds, json_option
from healthd.commands.table import add_row, empty_table, showing
from healthd.commands.terminal import plain
from healthd.http.session import command_session
from healthd.journal.outage import AWAY
from healthd.model import Status
from healthd.monitoring.debounce import Streak
from healthd.runtime.web_address import WebAddress


def _address(_ctx: click.Context, _param: click.Parameter, url: str | None) -> str | None:
    """The address of a daemon; what is typed here may be `host:port`, and nothing is guessed of HEALTHD_URL."""
    if url is not None and "://" not in url:
        url = f"http://{url}"
    if url is not None and (problem := problem_with(url)) is not None:
        raise click.BadParameter(problem)
    return url


_NEEDED = "the scope health:read, which the roles viewer, deployer and operator have"
_NAMED = 3  # problems of a configuration
_WINDOWS = {
    "maintenance": "in maintenance",
    "paused": "paused",
    "silenced": "silenced",
    "acknowledged": "acknowledged",
}


@click.command()
@click.argument("url", required=False, callback=_address)
@json_option
@click.option("--group", metavar="NAME", help="Ask for one group only, such as live or ready.")
@click.option(
    "--timeout",
    type=Seconds(),
    default=5.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
def status(url: str | None, as_json: bool, group: str | None, timeout: float) -> None:
    """Ask a running daemon how things stand.

    URL defaults to $HEALTHD_URL; $HEALTHD_TOKEN is sent as bearer token and brings the details. Exit code 0 when it
    is up, 1 when it is not or when a rollback wants a person, 3 when it could not be asked.
    """
    address, token = address_of_daemon(url), token_of_caller()
    shown = WebAddress(address).masked
    try:
        url_of_health = URL(address).joinpath("health", *([group] if group else []))
        code, text = answered_within(timeout, _ask(url_of_health, token, timeout, shown))
    except (aiohttp.ClientError, TimeoutError) as error:
        fail(f"{shown} could not be asked: {why_not_asked(error, address, timeout)}")
    try:
        document = json.loads(text)
    except ValueError:
        fail(f"{shown} answers, and not with JSON: is this the address of the daemon, and not of an application?")
    document = document if isinstance(document, dict) else {}
    if code not in (200, 503) or not _is_ours(document):
        said = document.get("detail") or "this is no healthd: is it the address of an application?"
        fail(f"{shown} answered {code}: {said}")
    click.echo(json.dumps(document, indent=2)) if as_json else _print(document)
    checks = [check for check in document.get("checks", {}).values() if check["status"] != Status.UNKNOWN.value]
    if checks and not any("duration" in check for check in checks):
        if token:
            click.echo(
                f"no details: the token in HEALTHD_TOKEN is not known there, has expired, or lacks {_NEEDED}", err=True
            )
        elif any("timestamp" in check and check["status"] != Status.HEALTHY.value for check in checks):
            click.echo(f"no reasons: set HEALTHD_TOKEN to a token with {_NEEDED}", err=True)
    sys.exit(0 if code == 200 and not document.get("rollbacks") else 1)


def _is_ours(document: dict[str, Any]) -> bool:
    """True if it has the shape of `/health` or of a group."""
    checks = document.get("checks", {})
    overall = "overall" in document and {"environment", "version"} <= document.keys()
    known = {status.value for status in Status}
    return (overall or "status" in document) and (
        isinstance(checks, dict)
        and all(isinstance(check, dict) and check.get("status") in known for check in checks.values())
    )


async def _ask(url: URL, token: str | None, within: float, shown: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with telling_if_late(shown, within):
        async with command_session(timeout=UNLIMITED, headers=headers) as session, session.get(url) as response:
            return response.status, await response.read()


def _print(document: dict[str, Any]) -> None:
    if isinstance(journal := document.get("journal"), dict):
        click.secho(_journal(journal), fg="yellow", bold=True)
    if isinstance(configuration := document.get("configuration"), dict):
        click.secho(_configuration(configuration), fg="yellow", bold=True)
    for away in document.get("takenAway", [])[:_NAMED]:
        click.secho(_taken_away(away), fg="yellow", bold=True)
    for rollback in document.get("rollbacks", []):
        click.secho(_rollback(rollback), fg="red", bold=True)
    if "overall" in document:
        click.echo(f"{document['overall']} · {document['environment']} · version {document['version']}")
    else:
        click.echo(document["status"])
    if replicas := document.get("replicas"):
        click.echo(plain(f"{len(replicas)} replicas: {', '.join(map(_replica, replicas))}"))
    table = empty_table()
    for name, check in document.get("checks", {}).items():
        ran_by = f"by {check['replica']}" if "replica" in check else ""
        message = ": ".join(filter(None, (_streak(check), check.get("message", ""))))
        found = plain("; ".join(filter(None, (*_covers(check), message, ran_by))))
        add_row(table, name, Status(check["status"]), check.get("kind", ""), check.get("duration"), found)
    if table.rows:
        with showing(quiet=False) as show:
            show(table)


def _replica(it: dict[str, Any]) -> str:
    """A replica that shares the journal, and how many of the spread checks it runs."""
    said = [*(["asked"] if it.get("here") else []), *([f"runs {it['runs']} checks"] if "runs" in it else [])]
    return f"{it.get('address')}" + (f" ({', '.join(said)})" if said else "")


def _streak(check: dict[str, Any]) -> str:
    """Say how many results in a row contradict the status, of how many that change it."""
    it = check.get("streak")
    return Streak(Status(it["status"]), it.get("seen"), it["needed"]).words if isinstance(it, dict) else ""


def _covers(check: dict[str, Any]) -> list[str]:
    """Windows that cover a check: what is paused or silenced must not pass for watched."""
    told = []
    for member, words in _WINDOWS.items():
        cover = check.get(member)
        if isinstance(cover, dict):
            by = f" by {cover['by']}" if "by" in cover else ""
            until = "healthy" if "until_healthy" in cover else str(cover["until"]).replace("T", " ")[:16] + " UTC"
            told.append(f"{words} until {until}{by}: {cover.get('reason', '')}")
        elif cover:
            told.append(words)
    if held_by := check.get("heldBy"):
        told.append(f"not notified: it depends on {held_by}")
    return told


def _journal(it: dict[str, Any]) -> str:
    """A journal that is away, and what that means."""
    why = f": {it['message']}" if it.get("message") else ""
    last = f", but for a write at {it['lastWrite']}" if it.get("lastWrite") else ""
    return plain(f"▲ JOURNAL AWAY since {it.get('since')}{last}{why}. {AWAY}")


def _configuration(it: dict[str, Any]) -> str:
    """A configuration that was read and is not in force, and why."""
    problems = list(map(str, it.get("problems", [])))
    more = f"; and {len(problems) - _NAMED} more: see the log" if len(problems) > _NAMED else ""
    why = f": {'; '.join(problems[:_NAMED])}{more}" if problems else ""
    if it.get("status") == "restart":
        return plain(f"▲ CONFIGURATION WAITS FOR A RESTART since {it.get('since')}{why}")
    told = "The one before is in force, and a restart would fail."
    return plain(f"▲ CONFIGURATION REFUSED since {it.get('since')}{why}. {told}")


def _taken_away(it: dict[str, Any]) -> str:
    """Say what a reload took away: it may be meant so, or a file that lost its end."""
    gone = f": {'; '.join(map(str, it['gone']))}" if it.get("gone") else " some of the configuration"
    return plain(f"▲ RELOAD at {it.get('at')} TOOK AWAY{gone}")


def _rollback(it: dict[str, Any]) -> str:
    """A rollback that wants a person, in a line with where to look."""
    name = f"{it.get('service')} {it.get('version', '')}".strip()
    gate = f"healthd gate show {it['gate']}" if "gate" in it else f"healthd gate show --last {it.get('service')}"
    state = str(it.get("state", "")).removeprefix("rollback_").replace("_", " ")
    state = "stuck" if state == "due" else state  # it is told of only while its actions fail
    said = f": {it['message']}" if it.get("message") else "."
    return plain(f"✗ ROLLBACK {state.upper()}, {name}, since {it.get('since')}{said} See: {gate}")
