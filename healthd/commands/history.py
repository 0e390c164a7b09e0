"""`healthd history` and `healthd audit`: uptime, failures and changes, as a running daemon's journal knows them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table
from rich.text import Text

from healthd.commands.asking import ask
from healthd.commands.options import json_option
from healthd.commands.printing import Printing
from healthd.commands.terminal import echo, plain, terminal
from healthd.commands.values import WholeNumber

_MOSTLY = 0.9  # share of a period
_PERIODS = ("24h", "7d", "30d", "90d")


@click.command(cls=Printing)
@click.argument("check", required=False)
@click.option("--days", default=90, show_default=True, type=WholeNumber(1, 366), help="For how many days back.")
@json_option
def history(check: str | None, days: int, as_json: bool) -> None:
    """Print the uptime of every check and group; with CHECK, its failures too.

    HEALTHD_URL says where the daemon is, HEALTHD_TOKEN holds the token, which needs the scope health:read.
    """
    if check is None:
        document = ask("GET", "/history", "checks")
        click.echo(json.dumps(document, indent=2)) if as_json else _print_all(document)
        return
    document = ask("GET", f"/history/{quote(check, safe='')}", "uptime", query={"days": str(days)})
    click.echo(json.dumps(document, indent=2)) if as_json else _print_one(document, days)


@click.command(cls=Printing)
@click.option("--caller", help="Changes of this caller only.")
@click.option("--action", help="Of this action only, such as window.add; `gate.` for all that begin so.")
@click.option("--subject", help="Of this id or name only.")
@click.option("--since", metavar="TIME", help="From this time on, as 2026-12-01T01:00:00Z.")
@click.option("--limit", default=50, show_default=True, type=WholeNumber(1, 500), help="How many at most.")
@json_option
def audit(as_json: bool, **filters: Any) -> None:
    """Print who changed what, newest first.

    HEALTHD_URL says where the daemon is, HEALTHD_TOKEN holds the token, which needs the scope audit:read.
    """
    document = ask(
        "GET", "/audit", "entries", query={key: str(value) for key, value in filters.items() if value is not None}
    )
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    console = terminal()
    for entry in document["entries"]:
        said = ", ".join(
            f"{key} {_short(value)}" for key, value in entry["detail"].items() if value not in (None, "", [])
        )
        line = f"{entry['at']}  {entry['caller']}  {entry['action']}  {entry['subject']}"
        echo(console, Text(plain(f"{line}  {said}".rstrip())))
    if not document["entries"]:
        click.echo("no change of this kind is stored", err=True)
    if document["next"] is not None:
        click.echo(f"there are more: --limit, or GET /audit?before={document['next']}", err=True)


def _print_all(document: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("uptime", overflow="fold")
    for period in _PERIODS:
        table.add_column(period, justify="right", no_wrap=True)
    for kind, names in (("group ", document["groups"]), ("", document["checks"])):
        for name, known in names.items():
            table.add_row(Text(f"{kind}{name}"), *(_marked(known["uptime"][period]) for period in _PERIODS))
    echo(terminal(), table)
    if any(
        _is_partial(period)
        for it in (*document["groups"].values(), *document["checks"].values())
        for period in it["uptime"].values()
    ):
        click.echo("* of the part of that time that is known; --json says how much it is", err=True)


def _is_partial(period: dict[str, Any]) -> bool:
    """True if so much of a period is not known that its uptime could mislead. Maintenance is not known either."""
    return period["uptime"] is not None and period["known"] < _MOSTLY


def _print_one(document: dict[str, Any], days: int) -> None:
    console = terminal()
    since = f" since {document['since']}" if "since" in document else ""
    echo(console, Text(f"{document['name']}: {document['status']}{since}", style="bold"))
    told = "  ".join(f"{name} {_with_share(document['uptime'][name])}" for name in _PERIODS)
    echo(console, Text(f"uptime  {told}"))
    if document["status"] != "healthy" and "lastHealthy" in document:
        echo(console, Text(f"last healthy  {document['lastHealthy']}"))
    if not document["failures"]:
        echo(console, Text(f"no failure is stored in the last {days} days", style="dim"))
    for failure in document["failures"]:
        lasted = f"{failure['from']} to {failure.get('to', 'now')}"
        kind = f" ({failure['kind']})" if "kind" in failure else ""
        echo(console, Text(f"{lasted}  {failure['status']}{kind}: {plain(failure['message'])}"))


def _percent(period: dict[str, Any]) -> str:
    """Return a share in percent, rounded down: 100 % means that it was never down."""
    ratio = period["uptime"]
    return "unknown" if ratio is None else f"{int(ratio * 1e5 + 1e-6) / 1e3:.3f}%"


def _marked(period: dict[str, Any]) -> str:
    return _percent(period) + "*" * _is_partial(period)


def _with_share(period: dict[str, Any]) -> str:
    return _percent(period) + (f" (of {100 * period['known']:.2g}% known)" if _is_partial(period) else "")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
