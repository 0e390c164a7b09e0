"""The dialects of other deploy tools. To add one: a file here, its options in `config.hooks`, its line in the registry
of `config.hooks.any_hook`, a test and a section in the docs.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from healthd_gates.config.hooks.any_hook import HOOKS
from healthd_gates.hooks.dialect import Dialect


def known_kinds() -> list[str]:
    """Return the kinds of all dialects, also those of installed packages."""
    return HOOKS.kinds()


def find_kind(kind: str) -> type[Dialect]:
    """Return the class of a kind. Raises UnknownKindError, or ImportError when it cannot be loaded."""
    return HOOKS.find(kind)


def load() -> None:
    """Import the modules of every dialect; those of a package that cannot be loaded are reported when it is used."""
    for kind in known_kinds():
        with suppress(ImportError):
            find_kind(kind)
    import_module(f"{__name__}.github.callback")
