"""Tells what `healthd init` has written, what it left out, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

import click

from healthd_gates.commands.init.plan import Plan
from healthd_gates.commands.init.render import RIGHTS, listening


def tell(plan: Plan, refused: Sequence[str], file: Path, env_file: Path) -> None:
    """Say what the file has, and what is left out of it."""
    click.echo(f"{file} is written.")
    if plan.service is not None and plan.source is not None:
        click.echo(f"  service {plan.service.name}: {' '.join(written(plan.service.targets))}")
        click.echo(f"  source {plan.source.options['kind']}: {plan.source.said}")
    for line in (*plan.host.left_out, *plan.left_out, *refused):
        click.echo(f"  left out: {line}")
    used = [each.variable for each in plan.host.dependencies if each.variable in plan.host.from_file]
    if used:
        click.echo(f"healthd reads {', '.join(used)} from its environment, and not from {env_file}:")
        click.echo(f"  set -a; . {quote(_sourced(env_file))}; set +a")
        if plan.host.spaced:
            names = ", ".join(sorted(plan.host.spaced))
            click.echo(f"  leave no blank around the = of {names} there: a shell would take each for a command")
        for name in sorted({*used} & {*plan.host.unquoted}):
            click.echo(f"  put the value of {name} into single quotes there: a shell would change it")


def tell_tokens(secrets: Mapping[str, str]) -> None:
    """Tell the tokens, this once."""
    click.echo("Two tokens, for HEALTHD_TOKEN. They are not stored anywhere and not shown again:")
    for name, secret in secrets.items():
        click.echo(f"  {name}: {secret}")
        click.echo(f"    {RIGHTS[name][1]}")


def tell_next(plan: Plan, file: Path) -> None:
    """Tell the commands that come next, each as it can be typed."""
    click.echo("Next:")
    config = f"-c {quote(str(file))}"
    click.echo(f"  healthd check {config}")
    if plan.service is not None and plan.source is not None:
        seen = f" --version {quote(plan.source.version)}" if plan.source.version is not None else ""
        target = next(iter(plan.service.targets))
        click.echo(f"  healthd source test {plan.service.name}{seen} --target {target} {config}")
    else:
        click.echo(f"  healthd config check {quote(str(file))}")
    click.echo(f"  healthd run {config}")
    click.echo(f"  healthd status http://127.0.0.1:{listening(plan)} # in another shell, with a token in HEALTHD_TOKEN")


def _sourced(file: Path) -> str:
    return str(file) if "/" in str(file) else f"./{file}"


def written(targets: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return targets as `--target` takes them."""
    return [f"{name}={','.join(urls)}" for name, urls in targets.items()]
