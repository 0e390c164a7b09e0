"""The version on the command line: refused before anything is looked at, where no gate would take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydantic import TypeAdapter, ValidationError

from healthd.commands.values import EMPTY
from healthd_gates.domain.request import VersionName

if TYPE_CHECKING:
    VersionType = click.ParamType[str]
else:
    VersionType = click.ParamType


class Version(VersionType):
    """Version of what is deployed, as gates take one."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail(EMPTY, param, ctx)
        try:
            return TypeAdapter[str](VersionName).validate_python(value)
        except ValidationError:
            shape = "write one word of at most 128 letters, digits and . / _ + : @ ~ -, such as 1.4.2"
            self.fail(f"{value!r} is no version: {shape}", param, ctx)
