"""`healthd`, and `python -m healthd`."""

import gc
import sys
from importlib import import_module

from healthd.runtime import lean_imports, leaving, signals


def main() -> None:
    """Run the command line; of what follows, the imports take longest."""
    if sys.argv[1:2] == ["run"]:
        signals.hold()
        gc.disable()  # until all is loaded
        with lean_imports.without("rich"):  # with it structlog would draw tracebacks; the log has plain ones
            import_module("structlog")
    from healthd.cli import main as command_line

    leaving.run(lambda: command_line(prog_name="healthd"))


if __name__ == "__main__":
    main()
