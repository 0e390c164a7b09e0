"""`healthd init`: writes a first configuration from what it finds on this host."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from healthd.commands.options import REFUSED, reason
from healthd.commands.values import WholeNumber
from healthd.config.file import ConfigError, parse
from healthd.nearest import did_you_mean
from healthd.web.auth import hash_token, new_token
from healthd_gates.commands.init import nginx_conf, pages, pm2
from healthd_gates.commands.init.plan import Plan, Proposal, as_name, choose, proposals
from healthd_gates.commands.init.render import RIGHTS, checks, render
from healthd_gates.commands.init.survey import Host, survey
from healthd_gates.commands.init.telling import tell, tell_next, tell_tokens, written
from healthd_gates.commands.init.variables import dot_env
from healthd_gates.config.settings import Config

_URL = r"https?://[^\s/?#@,]+[^\s?#@,]*"
_TARGET = re.compile(rf"(?P<name>[a-zA-Z0-9][a-zA-Z0-9._-]{{0,63}})=(?P<urls>{_URL}(?:,{_URL})*)")
_ASKED = "Targets, as NAME=URL; two, such as blue and green, if two versions run side by side"


def _targets(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return targets_of(values)


def targets_of(values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return targets that were written as `NAME=URL` or `NAME=URL,URL`."""
    found: dict[str, tuple[str, ...]] = {}
    for value in values:
        match = _TARGET.fullmatch(value)
        if match is None:
            shown = re.sub(r"//[^/@\s]*@", "//…@", value)
            raise click.BadParameter(
                f"{shown!r} is no NAME=URL, such as blue=http://127.0.0.1:3001, without a password"
            )
        urls = tuple(url.rstrip("/") for url in match["urls"].split(","))
        if match["name"] in found:
            raise click.BadParameter(f"{match['name']} is there twice: write its addresses as one, with commas")
        if twice := next((url for url in urls for others in found.values() if url in others), None):
            raise click.BadParameter(f"{twice} is the address of two targets: each needs its own")
        found[match["name"]] = urls
    return found


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="healthd.yaml")
@click.option("--yes", is_flag=True, help="Ask nothing: take what was found, and say what is left out.")
@click.option("--service", metavar="NAME", help="The service, of those that are found, or what to call it.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME=URL",
    callback=_targets,
    help="A place where a version of the service answers, such as blue=http://127.0.0.1:3001. Several times.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, resolve_path=True),
    help="The proxy's access log, if it is none that is found.",
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=".env",
    show_default=True,
    help="The application's variables; their names are taken over, and never their values.",
)
@click.option(
    "--nginx", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="NGINX's main configuration file."
)
def init(
    file: Path,
    *,
    yes: bool,
    service: str | None,
    targets: Mapping[str, tuple[str, ...]],
    log: Path | None,
    env_file: Path,
    nginx: Path | None,
) -> None:
    """Write a first configuration from what this host shows.

    FILE is healthd.yaml unless given. Looks at the environment and .env, listening ports, NGINX's configuration and
    log, PM2, a Prometheus on port 9090, and the identities of Kubernetes and AWS; asks what it could not find. Makes
    two tokens, of a deploy tool and of a person, and tells them once. Nothing is overwritten, and nothing else is
    changed. Exit code 0 when it is written; 2 when not.

    \b
    healthd init --yes
    healthd init --yes --service api --target blue=http://127.0.0.1:3001 \\
        --target green=http://127.0.0.1:3002
    """
    if os.path.lexists(file):
        _refuse(f"{file} is there already, and nothing was written: name another file, as in `healthd init new.yaml`")
    if not yes and not has_terminal():
        _refuse("there is no terminal to ask at: with --yes what is found is taken")
    host = survey(os.environ, env_file, nginx_conf.PLACES if nginx is None else (nginx,))
    chosen = _service(host, service, targets, ask=not yes)
    plan = Plan(host) if chosen is None else asyncio.run(choose(host, chosen, log, pages.get))
    looked = asyncio.run(pm2.tried_pm2(host.steady_apps, os.environ, plan.left_out))
    secrets = {name: new_token()[0] for name in RIGHTS}
    hashes = {name: hash_token(secret) for name, secret in secrets.items()}
    plan = replace(plan, journal=_journal_beside(file, host), pm2=looked, hashes=hashes)
    if chosen is None:
        plan.left_out.append(
            "a service, and with it a gate: name where it answers, as in --target live=http://127.0.0.1:3000"
        )
    text, refused = _valid(plan, file, _variables(env_file))
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        _refuse(f"{file} cannot be written: {reason(error)}")
    tell(plan, refused, file, env_file)
    tell_tokens(secrets)
    tell_next(plan, file)


def _journal_beside(file: Path, host: Host) -> Path | None:
    """Return where the journal of a daemon is that is started by hand; None for one that a system starts, whose own
    folder it has."""
    folder = file.absolute().parent
    return None if host.namespace is not None or folder.is_relative_to("/etc") else folder / "healthd.db"


def has_terminal() -> bool:
    """Return True if somebody can be asked."""
    return sys.stdin.isatty()


def _refuse(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(REFUSED)


def _variables(env_file: Path) -> dict[str, str]:
    try:
        return {**dot_env(env_file.read_text(encoding="utf-8")).values, **os.environ}
    except (OSError, UnicodeDecodeError):
        return dict(os.environ)


def _service(host: Host, name: str | None, targets: Mapping[str, tuple[str, ...]], *, ask: bool) -> Proposal | None:
    found = asyncio.run(proposals(host, pages.get))
    chosen = next((each for each in found if each.name == name), None)
    if name is not None and as_name(name) != name:
        raise click.UsageError(f"--service: {name!r} is no name: letters, digits, dots, dashes and underscores")
    if name is not None and chosen is None and not targets and not ask:
        there = ", ".join(each.name for each in found) or "none"
        hint = did_you_mean(name, [each.name for each in found])
        raise click.UsageError(f"no service called {name!r} is found; there are: {there}.{hint} Or give its --target.")
    if name is None and found:
        chosen = _picked(host, found) if not ask or targets or len(found) == 1 else _asked_which(found)
    if targets:
        asked = Proposal("", targets)
        chosen = next((each for each in found if each.servers & asked.servers), chosen) if name is None else chosen
        named = Proposal(name or (chosen.name if chosen else "app"), targets, chosen.site if chosen else None)
        return named.of_its_site(host.sites)
    return _asked(host, name, chosen) if ask else chosen


def _picked(host: Host, found: Sequence[Proposal]) -> Proposal | None:
    """Return the likeliest service. Where nothing but ports was seen, several are none."""
    ports_alone = not host.sites and all(app.port is None for app in host.apps)
    if ports_alone and len(found) > 1:
        return None
    return found[0]


def _asked_which(found: Sequence[Proposal]) -> Proposal:
    for number, each in enumerate(found, 1):
        click.echo(f"  {number}  {each.name}: {' '.join(written(each.targets))}")
    number = click.prompt("Which one is deployed", default=1, type=WholeNumber(1, len(found)))
    return found[int(number) - 1]


def _asked(host: Host, name: str | None, chosen: Proposal | None) -> Proposal | None:
    name = name or as_name(click.prompt("Name of the service", default=chosen.name if chosen else "app"))
    default = " ".join(written(chosen.targets)) if chosen else ""
    while True:
        words = str(click.prompt(f"{_ASKED}; empty for none" if not chosen else _ASKED, default=default)).split()
        try:
            targets = targets_of(words)
        except click.BadParameter as error:
            click.echo(error.message, err=True)
            continue
        named = Proposal(name, targets, chosen.site if chosen else None)
        return named.of_its_site(host.sites) if targets else None


def _valid(plan: Plan, file: Path, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text without the checks that the daemon would refuse, and why."""
    without: dict[str, str] = {}
    while True:
        text = render(plan, without)
        try:
            parse(text, str(file), Config, environ)
        except ConfigError as error:
            wrong = {problem.key.split(".")[1]: problem.message for problem in error.problems if "." in problem.key}
            new = {name: why for name, why in wrong.items() if name in checks(plan) and name not in without}
            if not new:
                _refuse("\n".join(str(problem) for problem in error.problems))
            without |= new
        else:
            return text, [f"check {name}: {why}" for name, why in without.items()]
