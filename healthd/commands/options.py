"""Common parts of several commands: the `--config` option, settings or a readable refusal, and the reason of a system
error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from healthd.units import parse_duration

if TYPE_CHECKING:
    from healthd.config.places import Problem
    from healthd_gates.config.settings import Config

    _FloatType = click.ParamType[float]
else:
    _FloatType = click.ParamType  # not generic in older releases of click

REFUSED = 2  # the exit code for a configuration or a call that cannot be used

config_option = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HEALTHD_CONFIG",
    help="The YAML file to use; without one, the embedded defaults.  [env: HEALTHD_CONFIG]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def settings_or_exit(
    file: Path | None, also: Callable[[Path, list[Problem]], Iterable[Problem]] = lambda _file, _problems: ()
) -> Config:
    """The settings of a file; when it is refused, every problem on stderr, what is `also` to be said, and exit code
    2."""
    from healthd.config.file import ConfigError, load
    from healthd.http.outgoing import put_in_force
    from healthd_gates.config.settings import (
        Config,  # not needed by the commands that ask a daemon; its import would delay them
    )

    try:
        settings = load(file, Config, os.environ)
    except ConfigError as error:
        for problem in (*error.problems, *(also(file, error.problems) if file is not None else ())):
            click.echo(str(problem), err=True)
        sys.exit(REFUSED)
    put_in_force(settings.outgoing.way)
    return settings


def reason(error: OSError) -> str:
    """The system's words about an error, without the address that asyncio adds."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


class Seconds(_FloatType):
    """Duration such as 30s or 5m, as everywhere else; a number alone is seconds, unless it could be meant otherwise."""

    name = "duration"

    def __init__(self, *, may_be_zero: bool = False, needs_unit: bool = False) -> None:
        self._may_be_zero, self._needs_unit = may_be_zero, needs_unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = self._parsed(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not (0 < seconds < inf or (seconds == 0 and self._may_be_zero)):
            self.fail(f"{value!r} is not {'zero or more' if self._may_be_zero else 'more than zero'}", param, ctx)
        return seconds

    def _parsed(self, value: Any) -> float:
        if not self._needs_unit:
            with suppress(ValueError):
                return float(value)
        return float(parse_duration(value))
