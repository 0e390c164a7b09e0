"""`healthd gate lock|unlock|locks|quarantine|unquarantine`: who may deploy, and which versions may not."""

from __future__ import annotations

import click

from healthd.commands.options import Seconds, json_option
from healthd.commands.printing import Printing
from healthd.commands.terminal import plain
from healthd_gates.client.client import GateClient
from healthd_gates.commands.connection import asking


@click.command()
@click.argument("service")
@click.option("--holder", required=True, help="Whose it is: the deploy job's name or id.")
@click.option(
    "--for", "seconds", default="30m", show_default=True, type=Seconds(needs_unit=True), help="How long at most."
)
@click.option("--reason", required=True, help="Why; others who want to deploy are told.")
@asking
async def lock(client: GateClient, service: str, holder: str, seconds: float, reason: str) -> None:
    """Take the deploy lock of SERVICE, or prolong it. Exit code 3 when someone else holds it."""
    taken = await client.lock(service, holder, seconds, reason)
    until = f"{taken.until:%Y-%m-%d %H:%M:%S} UTC"
    click.echo(plain(f"{taken.holder} holds the deploy lock of {taken.service} until {until}"))


@click.command()
@click.argument("service")
@click.option("--holder", required=True, help="Who took it.")
@asking
async def unlock(client: GateClient, service: str, holder: str) -> None:
    """Give the deploy lock of SERVICE back."""
    await client.unlock(service, holder)
    click.echo(f"the deploy lock of {service} is free")


@click.command(cls=Printing)
@json_option
@asking
async def locks(client: GateClient, as_json: bool) -> None:
    """List the deploy locks that are held."""
    found = await client.locks()
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    if not found.locks:
        click.echo("no deploy locks are held")
    for held in found.locks:
        click.echo(plain(f"{held.service}: {held.holder} until {held.until:%Y-%m-%d %H:%M:%S} UTC: {held.reason}"))


@click.command(cls=Printing)
@json_option
@asking
async def quarantine(client: GateClient, as_json: bool) -> None:
    """List the versions that are refused: what failed a gate, and what a person rolled back."""
    found = await client.quarantine()
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    if not found.versions:
        click.echo("no version is in quarantine")
    for kept in found.versions:
        since = f"{kept.since:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(plain(f"{kept.service} {kept.version}: {since}, gate {kept.gate}: {kept.reason}"))


@click.command()
@click.argument("service")
@click.argument("version")
@click.option("--reason", required=True, help="Why it may try again; it goes to the audit.")
@asking
async def unquarantine(client: GateClient, service: str, version: str, reason: str) -> None:
    """Let VERSION of SERVICE out of quarantine."""
    await client.unquarantine(service, version, reason)
    click.echo(f"{service} {version} may be deployed again")
