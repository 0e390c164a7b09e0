"""Imports of libraries without the parts that nothing here uses, a fifth of what an idle daemon would occupy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType


@contextmanager
def without(library: str) -> Iterator[None]:
    """Let imports of an optional library fail: those who would use it do without."""
    with _standing_in(library, None):
        yield


@contextmanager
def without_package(name: str) -> Iterator[None]:
    """Let a module of a package be imported alone: not with all that its `__init__` imports. Who imports the package
    itself later gets the whole of it."""
    spec = find_spec(name)
    with _standing_in(name, module_from_spec(spec) if spec is not None else None):
        yield


@contextmanager
def _standing_in(name: str, module: ModuleType | None) -> Iterator[None]:
    """Have a module under a name for a while; what is loaded under that name stays, since it is there anyway."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module  # type: ignore[assignment]  # None lets the import fail
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def replacing(module: str, name: str, function: Callable[..., object]) -> Iterator[None]:
    """Have another function in a module for a while."""
    owner = import_module(module)
    real = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, real)
