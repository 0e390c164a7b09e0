"""The end of a command.

The interpreter ends by taking apart all that was imported, object by object: a quarter of the processor time of
`healthd status`, for memory that the kernel takes back at once. A command ends as `multiprocessing` ends its children.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable

from healthd.runtime import output


def run(command: Callable[[], object], *, patience: float | None = None) -> None:
    """Run a command and end the process with its exit code, after threads that are waited for, `atexit` functions and
    what is still to be written.

    The code is the command's own, whatever became of its output; with `patience`, a reader of it that has stopped
    reading is waited for so many seconds. What is more than a code, such as a bug, is left to the interpreter."""
    output.never_fail(patience)
    try:
        command()
        code: object = 0
    except SystemExit as ended:
        code = ended.code or 0
        if not isinstance(code, int):
            raise
    assert isinstance(code, int)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    if (why := output.unwritten(sys.stdout)) is not None:
        print(f"standard output could not be written: {why.strerror}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(code)
