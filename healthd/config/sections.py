"""Sections of a few options: the HTTP server, the log, error reports, what entries share, groups of checks."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, SecretStr

from healthd.config.external_url import ExternalUrl
from healthd.config.listen_address import Address
from healthd.config.model import Model
from healthd.units import Duration


class Details(StrEnum):
    """Audience of failure messages, hosts and numbers."""

    ALWAYS = "always"
    AUTHORIZED = "authorized"
    NEVER = "never"


class Http(Model):
    listen: Address = "127.0.0.1:8080"
    """Address to serve on, as host:port; `[::]:8080` is every address, of IPv4 too."""
    external_url: ExternalUrl | None = None
    """External address of the daemon for the links in notifications, pages and answers: `https://healthd.example.com`;
    by default the address of the current request."""
    details: Details = Details.AUTHORIZED
    """Audience of failure messages, hosts and numbers."""
    agent_check: Address | None = None
    """Address of the server for HAProxy's agent-check, as host:port; off by default. Its answer sets the weight
    of its server, and so undoes what an action `haproxy` has set there."""
    drain: Duration = 5.0
    """Time to answer `not ready` after SIGTERM before stopping."""


class Log(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    format: Literal["auto", "json", "console"] = "auto"
    """Format of the log: `auto` is readable on a terminal and JSON elsewhere."""


class Sentry(Model):
    dsn: SecretStr | None = None
    """DSN of the Sentry project; nothing is sent without one."""


class Defaults(Model):
    """Defaults of a check, used when neither it nor its kind sets the option."""

    interval: Duration = 15.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 2.0
    """Hard deadline of a probe."""
    fall: int = Field(3, ge=1)
    """Number of failures in a row that make a check unhealthy."""
    rise: int = Field(2, ge=1)
    """Number of successes in a row that make a check healthy again."""
    fast_interval: Duration | None = None
    """Time between probes while a status is about to change; a third of the interval by default."""
    spread: int | None = Field(None, ge=1)
    """Number of the replicas sharing the journal that run a check, rather than all."""
    labels: dict[str, Any] = {}
    """Labels of all checks and services; in an included file, of those of that file."""
    values: dict[str, Any] = {}
    """Values for `${values.KEY}` in all entries; in an included file, in those of that file."""
    checks: dict[str, dict[str, Any]] = {}
    """Options of all checks of a kind, by kind."""


class Templates(Model):
    """Options that entries share by naming a template."""

    checks: dict[str, dict[str, Any]] = {}
    """Templates of checks by name."""


class Group(Model):
    """Named set of checks with its own endpoint, `/health/NAME`."""

    checks: tuple[str, ...] = ()
    """Names of checks, all of which must be up."""
    shared_failure: Literal["fail", "degrade"] = "fail"
    """Effect of an unhealthy dependency that all replicas share: 503, or 200 with status `degraded`."""
