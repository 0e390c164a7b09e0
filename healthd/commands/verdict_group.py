"""Group of commands whose exit codes are verdicts: none of them is ever that of an error."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click

from healthd.commands.lazy import LazyGroup

_NO_VERDICT, _INTERRUPTED = 3, 130


class VerdictGroup(LazyGroup):
    """Ends with the same exit code after every error.

    Python ends a crash with 1 and click a usage error with 2, which a pipeline would read as a verdict.
    """

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*args, **more)
        except click.ClickException as error:
            error.exit_code = _NO_VERDICT  # type: ignore[misc]  # of this one; click ends with it
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.show()
            sys.exit(_NO_VERDICT)
        except click.Abort:
            sys.exit(_INTERRUPTED)
        except click.exceptions.Exit:
            raise
        except Exception:
            traceback.print_exc()
            sys.exit(_NO_VERDICT)
