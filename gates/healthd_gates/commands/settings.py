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


def service_of(settings: Config, name: str) -> Service:
    """A service by name, or exit code 3."""
    if name not in settings.services:
        known = ", ".join(sorted(settings.services)) or "none: name a file with --config"
        fail(f"no service is called {name!r}; there are: {known}.{did_you_mean(name, settings.services)}")
    return settings.services[name]


def policy_of(settings: Config, name: str) -> Policy:
    """A policy by name, or exit code 3."""
    if name not in settings.policies:
        known = ", ".join(sorted(settings.policies))
        fail(f"no policy is called {name!r}; there are: {known}.{did_you_mean(name, settings.policies)}")
    return settings.policies[name]
