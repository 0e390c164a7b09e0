"""A command that only prints."""

from __future__ import annotations

import sys
from typing import Any

import click

from healthd.runtime import output

_UNWRITTEN = 3


class Printing(click.Command):
    """Command whose output is all that it does: where that cannot be written, such as on a full disk, it ends with 3. A
    reader that has gone had what it wanted."""

    def invoke(self, ctx: click.Context) -> Any:
        found = super().invoke(ctx)
        sys.stdout.flush()
        if output.unwritten(sys.stdout) is not None:
            sys.exit(_UNWRITTEN)
        return found
