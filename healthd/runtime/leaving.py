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


def run(command: Callable[[], object]) -> None:
    """Run a command and end the process with its exit code, after threads that are waited for, `atexit` functions and
    what is still to be written.

    What is more than a code, such as a bug or an output that nobody reads any more, is left to the interpreter."""
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
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # it was closed before the start
                stream.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit(code)
