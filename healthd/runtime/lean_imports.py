"""Imports libraries without the parts that nothing here uses: they would be a tenth of what an idle daemon occupies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_OF_THE_ENGINE = ("AsyncConnection", "AsyncEngine", "create_async_engine")


def import_structlog() -> None:
    """Import structlog without rich, with which it shows tracebacks where it is installed; the log has plain ones."""
    if "structlog" not in sys.modules:
        with without("rich"):
            import_module("structlog")


@contextmanager
def without(library: str) -> Iterator[None]:
    """Let imports of an optional library fail unless it is there already: those who would use it do without."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[library]


def import_async_engine() -> None:
    """Import SQLAlchemy's asynchronous engine without its ORM, which the package around it imports as well. The rest of
    the package follows when a library asks for it."""
    name = "sqlalchemy.ext.asyncio"
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return
    package, execute = module_from_spec(spec), spec.loader.exec_module

    def complete(wanted: str) -> Any:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        package.__dict__.pop("__getattr__", None)
        execute(package)
        return getattr(package, wanted)

    sys.modules[name] = package
    try:
        engine = import_module(f"{name}.engine")
    except BaseException:
        del sys.modules[name]
        raise
    package.__dict__.update({each: getattr(engine, each) for each in _OF_THE_ENGINE}, __getattr__=complete)
