"""`healthd token new`: bearer tokens. Only hashes are ever stored."""

from __future__ import annotations

import json

import click

from healthd.commands.options import json_option
from healthd.config.settings import SCOPES
from healthd.web.auth import new_token


@click.group()
def token() -> None:
    """Make tokens for those who may call the API."""


@token.command()
@click.option("--name", default="ci", show_default=True, help="Who gets it; the audit shows this name.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("gates:verify", "gates:read"),
    show_default=True,
    help="What it allows; may be given several times.",
)
@click.option("--env", "as_env", is_flag=True, help='Print both as variables for a shell: eval "$(… --env)".')
@json_option
def new(name: str, scopes: tuple[str, ...], as_env: bool, as_json: bool) -> None:
    """Print a fresh token, which is shown only now, and its hash for the configuration."""
    secret, hashed = new_token()
    if as_env:
        click.echo(f"export HEALTHD_TOKEN={secret} HEALTHD_TOKEN_HASH={hashed}")
        return
    if as_json:
        click.echo(json.dumps({"name": name, "token": secret, "hash": hashed, "scopes": scopes}, indent=2))
        return
    click.echo("The token, for the caller's HEALTHD_TOKEN. It is not stored anywhere and not shown again:\n")
    click.echo(f"  {secret}\n")
    click.echo("Its hash, for the configuration of the daemon, under auth.tokens:\n")
    click.echo(f'  - {{name: {name}, hash: "{hashed}", scopes: [{", ".join(scopes)}]}}')
