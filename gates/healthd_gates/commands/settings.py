"""The configuration file, for the commands that work without a daemon."""

from __future__ import annotations

import os
from pathlib import Path

import click

from healthd.commands.daemon import fail
from healthd.config.file import ConfigError, load
from healthd.nearest import did_you_mean
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.config.settings import Config


def settings_of(file: Path | None) -> Config:
    """The settings of a file; when it is refused, every problem on stderr and exit code 3."""
    try:
        return load(file, Config, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        fail("the configuration cannot be used")


def service_of(settings: Config, name: str, file: Path | None) -> Service:
    """A service of a file's settings by name, or exit code 3."""
    if name not in settings.services:
        known = ", ".join(sorted(settings.services)) or "none"
        fail(f"no service is called {name!r}; there are: {known}.{did_you_mean(name, settings.services)}{unread(file)}")
    return settings.services[name]


def policy_of(settings: Config, name: str, file: Path | None) -> Policy:
    """A policy of a file's settings by name, or exit code 3."""
    if name not in settings.policies:
        known = ", ".join(sorted(settings.policies))
        fail(f"no policy is called {name!r}; there are: {known}.{did_you_mean(name, settings.policies)}{unread(file)}")
    return settings.policies[name]


def unread(file: Path | None) -> str:
    """Return the sentence for where no file was named, so that there is what ships and nothing else."""
    return "" if file is not None else " No file was read: name one with -c, or HEALTHD_CONFIG."
