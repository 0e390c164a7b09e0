"""`healthd action test`: check that an action works, before a rollback depends on it."""

from __future__ import annotations

import sys
from typing import Any

import click

from healthd.commands.options import json_option
from healthd_gates.client.client import GateClient
from healthd_gates.commands.arms import arm, given
from healthd_gates.commands.connection import asking

_NOT_DONE = 1
_UNNAMED = "candidate"
"""The candidate's version where nobody said it, which suffices for an action that knows targets alone."""


@click.group()
def action() -> None:
    """Look at what the daemon can do about a verdict, before one calls for it.

    \b
    HEALTHD_URL    where the daemon is (http://127.0.0.1:8080)
    HEALTHD_TOKEN  the bearer token to send, with the scope gates:rollback
    """


@action.command()
@click.argument("name")
@click.option("--service", required=True, help="The service whose traffic it moves.")
@click.option("--target", help="Which of the service's targets the candidate, to be rolled back, runs on.")
@click.option(
    "--candidate",
    metavar="VERSION",
    help="Its version, which an action on a Deployment or the like finds in the cluster.",
)
@click.option("--baseline-target", metavar="TARGET", help="Which target the traffic goes back to.")
@click.option("--baseline", metavar="VERSION", help="The version there.")
@click.option("--dry-run/--run", default=True, help="Say what it would do, which is the default; or do it now.")
@json_option
@asking
async def test(client: GateClient, /, name: str, service: str, *, dry_run: bool, as_json: bool, **said: Any) -> None:
    """Look whether the action NAME could be carried out now, as the daemon would: in its environment, as its user.

    With --run it is carried out once, and the traffic goes where it sends it. Exit code 0 when it could be done, or was
    done; 1 when not; 3 when the daemon could not be asked, or refused.

    \b
    healthd action test traffic-back --service api --target green \\
        --baseline-target blue
    healthd action test traffic-back --service api --target green \\
        --baseline-target blue --run
    """
    baseline = arm(said["baseline"] or "baseline", said["baseline_target"], ())
    named = said["baseline"] or said["baseline_target"]
    asked = given(
        service=service,
        candidate=arm(said["candidate"] or _UNNAMED, said["target"], ()),
        baseline=baseline if named else None,
        run=not dry_run,
    )
    tested = await client.test_action(name, asked)
    if as_json:
        click.echo(tested.model_dump_json(indent=2))
    else:
        click.echo(": ".join(filter(None, (name, tested.ending, tested.detail))))
    if not tested.ok:
        if said["candidate"] is None and _UNNAMED in (tested.detail or ""):
            click.echo("It looked for no version that you named: give --candidate, and --baseline.", err=True)
        sys.exit(_NOT_DONE)
