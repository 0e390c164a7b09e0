"""Options that name checks and groups of the same configuration: a name that is not there is refused."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from healthd.config.public_page import Component, PublicPage
from healthd.config.sections import Group
from healthd.config.window import CheckWindow, Maintenance, Silence
from healthd.nearest import not_under

OWN_GROUPS = ("ready", "live", "startup", "preflight")
NamesGroups = TypeVar("NamesGroups", Maintenance, Silence, Component)
NamesChecks = TypeVar("NamesChecks", Group, Maintenance, Silence, Component)


def names_checks(value: NamesChecks, info: ValidationInfo) -> NamesChecks:
    """Refuse names of checks that do not exist. Reports nothing while the checks themselves are in error."""
    known = info.data.get("checks", value.checks)
    if strangers := [name for name in value.checks if name not in known and not _is_pattern(value, name)]:
        raise ValueError("; ".join(f"names {not_under('checks', name, known)}" for name in strangers))
    return value


def _is_pattern(value: Group | CheckWindow | Component, name: str) -> bool:
    return not isinstance(value, Group) and any(character in name for character in "*?[")


def names_groups(value: NamesGroups, info: ValidationInfo) -> NamesGroups:
    """Refuse names of groups that do not exist. Reports nothing while the groups themselves are in error."""
    known = {*OWN_GROUPS, *info.data["groups"]} if "groups" in info.data else set(value.groups)
    if strangers := [name for name in value.groups if name not in known]:
        raise ValueError("; ".join(f"names {not_under('groups', name, known)}" for name in strangers))
    return value


def shows_checks(page: PublicPage, info: ValidationInfo) -> PublicPage:
    """Refuse components of checks or groups that do not exist. Raises ValidationError with the place of each."""
    faults: list[InitErrorDetails] = []
    for number, component in enumerate(page.components):
        for check in (names_checks, names_groups):
            try:
                check(component, info)
            except ValueError as error:
                kind = PydanticCustomError("value_error", "{told}", {"told": str(error)})
                faults.append(InitErrorDetails(type=kind, loc=("components", number), input=None))
    if faults:
        raise ValidationError.from_exception_data("public_pages", faults)
    return page
