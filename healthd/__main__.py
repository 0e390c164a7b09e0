"""`healthd`, and `python -m healthd`."""

import sys

from healthd.runtime import early_signals, lean_imports


def main() -> None:
    """Run the command line; of what follows, the imports take longest."""
    if sys.argv[1:2] == ["run"]:
        early_signals.hold_reload()
        lean_imports.import_structlog()
        lean_imports.import_async_engine()
    from healthd.cli import main as command_line

    command_line(prog_name="healthd")


if __name__ == "__main__":
    main()
