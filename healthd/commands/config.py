"""`healthd config check|show|schema|example`: look at a configuration without running it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from pydantic import BaseModel

from healthd.checks.contract import CheckConfig, Level
from healthd.checks.exec import ExecConfig
from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.commands import shipped
from healthd.commands.options import REFUSED, config_option, reason, settings_or_exit
from healthd.commands.printing import Printing
from healthd.config.file import load_what_is_right, problem_at
from healthd.config.listen_address import note_in_pod
from healthd.config.places import KeyPath, Problem
from healthd.config.secret_notes import notes_on_secrets
from healthd.config.variables import MOUNTED
from healthd.nearest import did_you_mean
from healthd.notifiers.contract import MisconfiguredNotifier
from healthd.runtime.redaction import Redactor

if TYPE_CHECKING:
    from healthd_gates.config.settings import Config

NOT_STRICT = 1  # the exit code for a valid file of which something is told, with --strict
_COMMANDS = ("argv", "dry_run")
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def config() -> None:
    """Look at a configuration without running it."""


@config.command("check")
@click.argument("file", type=_FILE, required=False)
@click.option(
    "-c", "--config", "config_file", type=_FILE, envvar="HEALTHD_CONFIG", help="The same.  [env: HEALTHD_CONFIG]"
)
@click.option("--elsewhere", is_flag=True, help="The daemon runs on another host: look for nothing on this one.")
@click.option("--strict", is_flag=True, help="Exit code 1 where anything is told of a valid file.")
@click.pass_context
def check_file(
    ctx: click.Context, file: Path | None, config_file: Path | None, *, elsewhere: bool, strict: bool
) -> None:
    """Say whether FILE is valid: every problem with its line, its key and the fix. Exit code 0 or 2.

    The programs of its actions are looked for as the daemon will look for them; files that are named and not there, and
    variables that are not set, are told.
    """
    file = _one_file(ctx, file, config_file)
    settings = settings_or_exit(file, *(() if elsewhere else (_absent_from_the_rest,)))
    if not elsewhere:
        _refuse_unable(settings, file)
    running, all_checks = settings.active_checks, settings.checks
    click.echo(f"{file}: valid; {len(running)} of {len(all_checks)} checks run at level {settings.level}")
    for name, check in all_checks.items():
        if name not in running:
            click.echo(f"  {name}: does not run, {_why_not(check, settings.level)}")
    told = [*(() if elsewhere else _lacking_here(settings, file)), *settings.notes, *notes_on_secrets(settings)]
    for note in told:
        click.echo(f"  {note}")
    if strict and told:
        sys.exit(NOT_STRICT)


@config.command(cls=Printing)
@config_option
def show(config_file: Path | None) -> None:
    """Print the configuration in force as JSON, defaults filled in and secrets masked."""
    settings = settings_or_exit(config_file)
    document = json.loads(settings.model_dump_json(by_alias=True))
    click.echo(json.dumps(_shown(document, Redactor.of(settings)), indent=2, ensure_ascii=False))


@config.command(cls=Printing)
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and for validation elsewhere."""
    from healthd.config.json_schema import config_schema
    from healthd_gates.config.settings import Config

    click.echo(json.dumps(config_schema(Config), indent=2))


@config.command(cls=Printing)
@click.argument("name", required=False)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every file that ships into this folder, as they lie in the repository; nothing is overwritten.",
)
def example(name: str | None, into: Path | None) -> None:
    """Print the example NAME; without one, say which there are.

    Examples are configurations, files for healthd-deploy, alert rules, dashboards and more.
    """
    if into is not None and name is not None:
        raise click.UsageError("--into writes every example: leave NAME out")
    if into is not None:
        _write_all(into)
    elif name is None:
        width = max(map(len, shipped.NAMES))
        for each, (_, what) in shipped.NAMES.items():
            click.echo(f"{each:{width}}  {what}")
    elif name in shipped.NAMES:
        click.echo(shipped.read(name), nl=False)
    else:
        hint = did_you_mean(name, shipped.NAMES) or " `healthd config example` lists them."
        raise click.UsageError(f"no example is called {name!r}.{hint}")


def _write_all(folder: Path) -> None:
    files = list(shipped.files())
    if there := [file for file in files if (folder / file).exists()]:
        raise click.UsageError(f"{folder / there[0]} is there already: nothing was written")
    try:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shipped.ROOT / file, folder / file)
    except OSError as error:
        click.echo(f"{folder} cannot be written: {reason(error)}", err=True)
        sys.exit(REFUSED)
    click.echo(f"{len(files)} files are in {folder}")


def _shown(value: Any, redact: Redactor) -> Any:
    """Return a part of a configuration with the secrets masked that are among the words of a command."""
    if isinstance(value, list):
        return [_shown(item, redact) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: redact.words(item) if key in _COMMANDS and isinstance(item, list) else _shown(item, redact)
        for key, item in value.items()
    }


def _refuse_unable(settings: Config, file: Path) -> None:
    """An action or a journal that cannot be on this host is found out now, and not when it is needed."""
    commands = {name: action for name, action in settings.actions.items() if action.kind == "command"}
    found: dict[KeyPath, str] = {}
    if (problem := _no_journal(settings.journal_url)) is not None:
        found["journal",] = problem
    for name, action in commands.items():
        if problem := action.problem_here(os.environ):
            found["actions", name, "argv"] = problem
    for key, problem in found.items():
        click.echo(str(problem_at(file, type(settings), os.environ, key, problem)), err=True)
    if found:
        for absent in _absent(settings, file):
            click.echo(str(absent), err=True)
        click.echo("On another host than the daemon's, check with --elsewhere.", err=True)
        sys.exit(REFUSED)


def _no_journal(url: str) -> str | None:
    from healthd.journal.address import problem_here  # its import would delay the other commands

    try:
        return problem_here(url)
    except OSError:  # this user may not look, and the daemon's may
        return None


def _one_file(ctx: click.Context, file: Path | None, config_file: Path | None) -> Path:
    """Return the file that is named, as an argument or as every other command has it. Raises click.UsageError."""
    typed = ctx.get_parameter_source("config_file") is ParameterSource.COMMANDLINE
    if file is not None and config_file is not None and typed:
        raise click.UsageError(f"{file} and {config_file}: name one file", ctx)
    if (named := file or config_file) is None:
        raise click.MissingParameter(ctx=ctx, param_hint="'FILE'", param_type="argument")
    return named


def _lacking_here(settings: Config, file: Path) -> Iterator[str]:
    """Yield what of a valid file would not work on this host."""
    if (note := note_in_pod(settings.http.listen, os.environ)) is not None:
        yield note
    yield from map(str, _absent(settings, file))
    for name, action in settings.actions.items():
        if problem := action.problem_here(os.environ):
            yield f"action {name}: could not be carried out on this host, {problem}"


def _absent(settings: Config, file: Path) -> Iterator[Problem]:
    """Yield what the daemon would start without here, and then report."""
    for name, check in settings.active_checks.items():
        ends = f"this {'critical ' if check.critical else ''}check would be unhealthy"
        if isinstance(check, MisconfiguredConfig):
            message = f"not set here: {', '.join(check.missing)}; {ends}: {_cure(check.missing)}"
            yield problem_at(file, type(settings), os.environ, ("checks", name), message)
        if isinstance(check, ExecConfig) and (problem := check.problem_here(os.environ)) is not None:
            yield problem_at(file, type(settings), os.environ, ("checks", name, "argv"), f"{problem}; {ends}")
        for key, path in _paths(check):
            yield _not_there(settings, file, ("checks", name, *key), path, ends)
    for name, notifier in settings.active_notifiers.items():
        if isinstance(notifier, MisconfiguredNotifier):
            message = f"not set here: {', '.join(notifier.missing)}; it would send nothing: {_cure(notifier.missing)}"
            yield problem_at(file, type(settings), os.environ, ("notifiers", name), message)
    for name, service in settings.services.items():
        for key, path in _paths(service):
            yield _not_there(settings, file, ("services", name, *key), path, "no gate could be judged by this source")


def _absent_from_the_rest(file: Path, problems: list[Problem]) -> Iterator[Problem]:
    """Yield the same of a refused file, of its checks and notifiers that are right."""
    from healthd_gates.config.settings import Config

    if any(each.key == "level" for each in problems):  # it decides which of them run
        return
    right = load_what_is_right(file, Config, os.environ, problems, ("level", "checks", "notifiers"))
    if right is not None:
        yield from _absent(right, file)


def _cure(missing: Collection[str]) -> str:
    variables = [name for name in missing if not name.startswith("file ")]
    return f"set it, or give a default as ${{{variables[0]}:-…}}" if variables else MOUNTED


def _not_there(settings: Config, file: Path, key: KeyPath, path: Path, ends: str) -> Problem:
    return problem_at(file, type(settings), os.environ, key, f"{path} is not there; {ends}: {MOUNTED}")


def _paths(model: BaseModel, above: KeyPath = ()) -> Iterator[tuple[KeyPath, Path]]:
    """Yield the files and folders that options name and that are not there."""
    for name, value in model:
        if isinstance(value, Path) and not value.exists():
            yield (*above, name), value
        elif isinstance(value, BaseModel):
            yield from _paths(value, (*above, name))


def _why_not(check: CheckConfig, level: Level) -> str:
    if not check.enabled:
        return "it is not enabled"
    if not level.includes(check.level):
        return f"it belongs to level {check.level}"
    missing = check.missing if isinstance(check, MisconfiguredConfig) else ()
    return f"it is optional and not set: {', '.join(missing)}"
