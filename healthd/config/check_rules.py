"""Rules that hold among the checks of a configuration: keys that differ, and dependencies that lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from healthd.checks.contract import CheckConfig
from healthd.checks.heartbeat import HeartbeatConfig
from healthd.nearest import not_under

Fault = tuple[str, str, str]
"""Check, option, and what is wrong with it."""


def consistent(checks: dict[str, CheckConfig]) -> dict[str, CheckConfig]:
    """Return the checks. Raises ValidationError with the place of every fault."""
    faults = [*_shared_keys(checks), *_strangers(checks)] or [*_cycles(checks)]
    if faults:
        raise ValidationError.from_exception_data("checks", [_detail(*fault) for fault in faults])
    return checks


def ancestors(checks: Mapping[str, CheckConfig], name: str) -> tuple[str, ...]:
    """Return all that a check depends on, the nearest first."""
    found: dict[str, None] = {}
    waiting = [*checks[name].depends_on]
    while waiting:
        parent = waiting.pop(0)
        if parent not in found and parent in checks:
            found[parent] = None
            waiting += checks[parent].depends_on
    return tuple(found)


def _shared_keys(checks: Mapping[str, CheckConfig]) -> Iterator[Fault]:
    """Yield heartbeats with the key of another: a report could mean either."""
    named: dict[str, str] = {}
    for name, check in checks.items():
        key = check.key if isinstance(check, HeartbeatConfig) else None
        if key is not None and (other := named.setdefault(key.get_secret_value(), name)) != name:
            yield name, "key", f"{other} and {name} have the same key: give each its own, `uuidgen` prints one"


def _strangers(checks: Mapping[str, CheckConfig]) -> Iterator[Fault]:
    for name, check in checks.items():
        for parent in check.depends_on:
            if parent not in checks:
                yield name, "depends_on", f"names {not_under('checks', parent, checks)}"


def _cycles(checks: Mapping[str, CheckConfig]) -> Iterator[Fault]:
    for name in checks:
        if name in ancestors(checks, name):
            yield name, "depends_on", f"leads back to {name}: {' → '.join(_way(checks, name))}"


def _way(checks: Mapping[str, CheckConfig], name: str) -> list[str]:
    """Return the shortest way from a check along its dependencies back to it."""
    ways = [[name, parent] for parent in checks[name].depends_on]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        if way[-1] == name:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, parent] for parent in checks[way[-1]].depends_on]
    return [name]


def _detail(name: str, option: str, message: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("value_error", "{told}", {"told": message}), loc=(name, option), input=None
    )
