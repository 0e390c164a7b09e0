"""The arms of a gate as options of the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def arm_options(command: CommandT) -> CommandT:
    """Adds the options by which candidate and baseline are told apart."""
    for option in reversed(
        [
            click.option("--policy", help="The policy, where it is not the service's own."),
            click.option("--target", help="Which of the service's targets the candidate runs on."),
            click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of its numbers."),
            click.option("--baseline", metavar="VERSION", help="The version to compare with."),
            click.option("--baseline-target", metavar="TARGET", help="Which target the baseline runs on."),
            click.option("--baseline-label", "baseline_labels", multiple=True, metavar="NAME=VALUE", help="Likewise."),
        ]
    ):
        command = option(command)
    return command


def arm(version: str | None, target: str | None, labels: tuple[str, ...]) -> dict[str, Any]:
    """One arm as a request has it; empty when nothing was said of it. Raises click.UsageError."""
    pairs = {}
    for label in labels:
        name, equals, value = label.partition("=")
        if not equals:
            raise click.UsageError(f"label {label!r}: write it as NAME=VALUE")
        pairs[name] = value
    return given(version=version, target=target, labels=pairs or None)


def given(**values: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in values.items() if value is not None}
