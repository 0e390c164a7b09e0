"""Format of an access log: a line → its fields, and what some of them mean to a gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Fields = Mapping[str, Any]
Parse = Callable[[str], Fields | None]
"""A line → its fields; None if it does not fit."""
Get = Callable[[Fields], str]
"""Fields → the text of one of them, empty if the line has none."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The fields that mean something to a gate; None where a format has none.

    `duration` is in 1 / `per_second` seconds. `upstream`, `upstream_status` and `upstream_duration` are the lists of
    the servers that NGINX asked one after the other. `request` is a path, or a request line, which has the method too;
    `method` is a field of its own. `arms` is the field by which the versions are told apart, unless the user names
    another one.
    """

    status: str
    duration: str | None = None
    per_second: float = 1.0
    upstream: str | None = None
    upstream_status: str | None = None
    upstream_duration: str | None = None
    agent: str | None = None
    request: str | None = None
    method: str | None = None
    time: str | None = None
    arms: str | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """Format of a log. `fields` are all that it can have; None if a line says itself which it has."""

    name: str
    parse: Parse
    roles: Roles
    fields: tuple[str, ...] | None
    log_format: str | None = None

    @property
    def is_json(self) -> bool:
        return self.fields is None

    @property
    def key(self) -> str:
        """Identifies it: equal ones read a line alike."""
        return f"{self.name} {self.log_format} {self.roles}"

    def get(self, field: str) -> Get:
        """Return a reader of one field. In JSON `request.headers.X-Version` is a value within objects."""
        if not self.is_json:
            return lambda fields: fields.get(field) or ""
        parts = field.split(".")
        return lambda fields: _text(fields[field] if field in fields else _within(fields, parts))

    def has(self, field: str) -> bool:
        """True if a line may have the field."""
        return self.fields is None or field in self.fields


def _within(fields: Fields, parts: list[str]) -> Any:
    value: Any = fields
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part)
    return value


def _text(value: Any) -> str:
    while isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, dict):
        return ""
    return value if isinstance(value, str) else str(value)
