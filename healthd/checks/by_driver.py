"""Options that only a driver can judge. At the start of the daemon that waits until the driver is loaded:
health is served first, and the check itself says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from healthd.registry import drivers_are_left_out


@dataclass(frozen=True, slots=True)
class ByDriver:
    """Validator `module:function` that imports a driver; it is not called where drivers are left out.

    The function returns the value, or raises ValueError. A check calls it as well when it is built.
    """

    function: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._judge, handler(source))

    def _judge(self, value: Any) -> Any:
        if drivers_are_left_out():
            return value
        module, _, name = self.function.partition(":")
        return getattr(import_module(module), name)(value)


def require(package: str) -> None:
    """Raise ModuleNotFoundError if a package is not installed, without importing it."""
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
