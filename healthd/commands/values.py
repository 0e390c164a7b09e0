"""Types of the values of options and arguments: a wrong one is told in plain words, with the nearest valid word."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from healthd.nearest import did_you_mean

if TYPE_CHECKING:
    _ChoiceType = click.Choice[str]
else:
    _ChoiceType = click.Choice  # not generic in older releases of click

EMPTY = "it is empty: is the variable that holds it set?"


class Choice(_ChoiceType):
    """One word of several."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            told = f"{error.message}{did_you_mean(str(value), self.choices)}"
            raise click.BadParameter(told, ctx, param) from None


class GivenText(click.types.StringParamType):
    """Text that is not empty: an empty one mostly is a variable of a pipeline that nothing has set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail(EMPTY, param, ctx)
        return super().convert(value, param, ctx)


class ShownText(click.types.StringParamType):
    """Text that is only shown: an empty one is left out with a line on stderr."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            click.echo(f"{param.opts[0] if param else 'a text'} is left out: {EMPTY}", err=True)
            return None
        return super().convert(value, param, ctx)


def refuse_empty(command: click.Command) -> None:
    """Have a command, and those of a group, refuse an empty text for each option and argument that takes any text."""
    for param in command.params:
        if type(param.type) is click.types.StringParamType:
            param.type = GivenText()
    for below in getattr(command, "commands", {}).values():
        refuse_empty(below)


class Number(click.FloatRange):
    """Finite number within bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class WholeNumber(click.IntRange):
    """Whole number within bounds."""

    name = "whole number"
