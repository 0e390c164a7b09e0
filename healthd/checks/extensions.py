"""Checks that other packages bring, through the entry-point group `healthd.checks`; what is wrong with one names it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import iscoroutinefunction

from healthd.checks.contract import Check, CheckConfig
from healthd.checks.failures import describe

GROUP = "healthd.checks"


class ExtensionError(ImportError):
    """A package's check cannot be used."""


def kinds() -> frozenset[str]:
    """What installed packages bring, broken or not."""
    return frozenset(_installed())


def load(kind: str) -> type[Check]:
    """The class behind a kind. Raises ExtensionError, naming the package, or KeyError when no package brings it."""
    point, *others = _installed()[kind]
    if others:
        raise ExtensionError(f"several packages bring it, {_named(point, *others)}: uninstall all but one")
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        raise ExtensionError(f"{_named(point)} is broken: {point.value}: {describe(error)}") from error
    if fault := _fault(found):
        raise ExtensionError(f"{_named(point)} is broken: {point.value} {fault}")
    return found  # type: ignore[no-any-return]


def refuse_rivals(kind: str) -> None:
    """Raises ExtensionError when a package brings a kind that is built in: nothing tells which one is meant."""
    if rivals := _installed().get(kind):
        raise ExtensionError(
            f"it is built in, and {_named(*rivals)} brings another of that name: uninstall it, or have it renamed"
        )


@cache
def _installed() -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def _named(*points: EntryPoint) -> str:
    return " and ".join(
        f"package {point.dist.name} {point.dist.version}" if point.dist else point.value for point in points
    )


def _fault(found: object) -> str | None:
    """How what was loaded fails to be a check; None when it is one."""
    if not isinstance(found, type):
        return "is not a class"
    model = getattr(found, "config_model", None)
    if not (isinstance(model, type) and issubclass(model, CheckConfig)):
        return "has no config_model that is a subclass of healthd.checks.contract.CheckConfig"
    for method in ("probe", "close"):
        if not iscoroutinefunction(getattr(found, method, None)):
            return f"has no `async def {method}`"
    return None
