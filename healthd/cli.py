"""The command line: `healthd run`, `config` and the rest. It parses and prints; the work is done elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from healthd import __version__
from healthd.configfile import ConfigError, load
from healthd.settings import Settings

_config_option = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HEALTHD_CONFIG",
    help="The YAML file to use; without one, the embedded defaults.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="healthd")
def main() -> None:
    """Health checks that never lie, and deployment gates that decide on evidence."""


@main.command()
@_config_option
def run(config_file: Path | None) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; SIGHUP reloads the configuration."""
    from healthd.app import Daemon

    settings = _settings(config_file)

    async def serve() -> None:
        await Daemon(settings, config_file).run()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.http.listen}: {error.strerror}") from None


@main.group()
def config() -> None:
    """Look at a configuration without running it."""


@config.command("check")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def config_check(file: Path) -> None:
    """Say whether FILE is valid; every problem with its line, its key and the fix."""
    settings = _settings(file)
    click.echo(f"{file}: valid, {len(settings.active_checks)} checks")


def _settings(file: Path | None) -> Settings:
    try:
        return load(file, Settings, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(2)
