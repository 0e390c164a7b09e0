"""`healthd token new`: bearer tokens. Only hashes are ever stored."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from click.core import ParameterSource

from healthd.commands.options import json_option
from healthd.commands.printing import Printing
from healthd.commands.values import Choice
from healthd.config.auth_grant import ROLES, SCOPES
from healthd.units import parse_duration, representable, stamp
from healthd.web.auth import new_token


@click.group()
def token() -> None:
    """Make tokens for those who may call the API."""


_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_WRITTEN = ParameterSource.COMMANDLINE
_DEFAULT_SCOPES = ("gates:verify", "gates:read")


def _labels(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{text!r} is no label: write it as team=payments")
        labels.setdefault(name, []).append(value)
    return labels


def _expiry(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """Return a moment from a duration, such as 90d, or from a date or time."""
    if given is None:
        return None
    now = datetime.now(UTC)
    try:
        moment = _time(given, now)
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither a duration such as 90d nor a date such as 2027-01-31") from None
    if moment <= now:
        raise click.BadParameter(f"{given!r} is in the past: write a duration such as 90d or a date to come")
    return stamp(moment)


def _time(given: str, now: datetime) -> datetime:
    """Return the time that a duration from now or a date names. Raises ValueError."""
    try:
        return now + timedelta(seconds=parse_duration(given))
    except ValueError:
        moment = datetime.fromisoformat(given)
    return representable(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


@token.command(cls=Printing)
@click.option("--name", default="ci", show_default=True, help="Who gets it; the audit shows this name.")
@click.option(
    "--scope",
    "scopes",
    type=Choice(SCOPES),
    multiple=True,
    metavar="SCOPE",
    help=f"What it allows, of {', '.join(SCOPES)}; may be given several times.  "
    "[default: gates:verify, gates:read, unless there is a --role]",
)
@click.option("--role", type=Choice(tuple(ROLES)), help="A role, as a name for several scopes.")
@click.option(
    "--service", "services", multiple=True, help="A service that it may change, * for any text; default: all."
)
@click.option("--check", "checks", multiple=True, help="A check that it may run, report for and silence.")
@click.option("--group", "groups", multiple=True, help="A group whose checks it may run, report for and silence.")
@click.option("--label", "labels", multiple=True, callback=_labels, help="A label of what it may change: team=shop.")
@click.option("--environment", "environments", multiple=True, help="An environment in which it is valid; default: all.")
@click.option("--expires", callback=_expiry, help="When it ends: 90d from now, or a date such as 2027-01-31 (UTC).")
@click.option("--env", "as_env", is_flag=True, help='Print both alone, as variables for a shell: eval "$(… --env)".')
@json_option
def new(
    name: str,
    scopes: tuple[str, ...],
    role: str | None,
    expires: str | None,
    as_env: bool,
    as_json: bool,
    **bounds: Any,
) -> None:
    """Print a fresh token, which is shown only now, and its hash for the configuration."""
    context = click.get_current_context()
    written = [it for it in context.command.params if context.get_parameter_source(it.name or "") is _WRITTEN]
    asked = [it.opts[0] for it in written if it.name != "as_env"]
    if as_env and asked:
        raise click.UsageError(
            f"--env prints the token and its hash alone, and would lose {', '.join(asked)}: leave out --env, or write "
            "that beside the hash in auth.tokens"
        )
    secret, hashed = new_token()
    if as_env:
        click.echo(f"export HEALTHD_TOKEN={secret} HEALTHD_TOKEN_HASH={hashed}")
        return
    granted = {"role": role, "scopes": list(scopes or (() if role else _DEFAULT_SCOPES))}
    bound = {key: value if isinstance(value, dict) else list(value) for key, value in bounds.items()}
    rest = {key: value for key, value in {**granted, **bound, "expires": expires}.items() if value}
    if as_json:
        click.echo(json.dumps({"name": name, "token": secret, "hash": hashed, **rest}, indent=2))
        return
    click.echo("The token, for the caller's HEALTHD_TOKEN. It is not stored anywhere and not shown again:\n")
    click.echo(f"  {secret}\n")
    click.echo("Its hash, for the configuration of the daemon, under auth.tokens:\n")
    click.echo(
        f'  - {{name: {name}, hash: "{hashed}", {", ".join(f"{key}: {_yaml(it)}" for key, it in rest.items())}}}'
    )


def _yaml(value: Any) -> str:
    """Return a text, a list of texts or a mapping to such lists as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    plain = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9._-]*(:[a-z]+)?", value) and value.lower() not in _NOT_TEXT
    return value if plain else json.dumps(value)
