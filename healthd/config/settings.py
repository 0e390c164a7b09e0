"""Validated configuration. Models only: files are read by `file`, and the gate's options are the gate's own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from healthd.addresses.notes import notes_of
from healthd.addresses.postgresql import read_postgresql
from healthd.checks import CHECKS
from healthd.checks.contract import CheckConfig, Level
from healthd.checks.database import checked_uri
from healthd.checks.heartbeat import HeartbeatConfig
from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.checks.parsing import read_check
from healthd.config.auth import Auth
from healthd.config.check_rules import consistent
from healthd.config.external_url import ExternalUrl
from healthd.config.listen_address import Address
from healthd.config.model import Model as Model
from healthd.config.model import Name as Name
from healthd.config.otlp import Otlp
from healthd.config.public_page import Component, PublicPage
from healthd.config.sign_in import NO_SESSION_SECRET, refuse_unreachable
from healthd.config.window import CheckWindow, Maintenance, Silence, notes_on_times, nothing_covered
from healthd.nearest import not_under
from healthd.notifiers.contract import MisconfiguredNotifier, NotifierConfig
from healthd.notifiers.parsing import AnyNotifier, KnownRoute
from healthd.registry import SchemaOfKinds
from healthd.units import Duration, stamp


def _journal(url: SecretStr) -> SecretStr:
    if not re.match(r"sqlite:///(?!:memory:($|\?))[^?]|postgres(ql)?://.", url.get_secret_value()):
        raise ValueError("write sqlite:///path/to/file or postgresql://user:password@host/database")
    if url.get_secret_value().startswith("postgres"):
        read_postgresql(checked_uri(url, "postgresql", "postgres").get_secret_value())
    return url


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
    """Address of the server for HAProxy's agent-check, as host:port; off by default."""
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


_NONE_IS_SPREAD = (
    "no check is spread: each is critical, in a group that decides about readiness, of scope local, a heartbeat, or "
    "has an interval under 5s, and every replica runs such a check itself"
)
_OWN_GROUPS = ("ready", "live", "startup", "preflight")
NamesGroups = TypeVar("NamesGroups", Maintenance, Silence, Component)
NamesChecks = TypeVar("NamesChecks", Group, Maintenance, Silence, Component)


def _names_checks(value: NamesChecks, info: ValidationInfo) -> NamesChecks:
    """Refuse names of checks that do not exist. Reports nothing while the checks themselves are in error."""
    known = info.data.get("checks", value.checks)
    if strangers := [name for name in value.checks if name not in known and not _is_pattern(value, name)]:
        raise ValueError("; ".join(f"names {not_under('checks', name, known)}" for name in strangers))
    return value


def _is_pattern(value: Group | CheckWindow | Component, name: str) -> bool:
    return not isinstance(value, Group) and any(character in name for character in "*?[")


def _names_groups(value: NamesGroups, info: ValidationInfo) -> NamesGroups:
    """Refuse names of groups that do not exist. Reports nothing while the groups themselves are in error."""
    known = {*_OWN_GROUPS, *info.data["groups"]} if "groups" in info.data else set(value.groups)
    if strangers := [name for name in value.groups if name not in known]:
        raise ValueError("; ".join(f"names {not_under('groups', name, known)}" for name in strangers))
    return value


def _shows_checks(page: PublicPage, info: ValidationInfo) -> PublicPage:
    """Refuse components of checks or groups that do not exist. Raises ValidationError with the place of each."""
    faults: list[InitErrorDetails] = []
    for number, component in enumerate(page.components):
        for check in (_names_checks, _names_groups):
            try:
                check(component, info)
            except ValueError as error:
                kind = PydanticCustomError("value_error", "{told}", {"told": str(error)})
                faults.append(InitErrorDetails(type=kind, loc=("components", number), input=None))
    if faults:
        raise ValidationError.from_exception_data("public_pages", faults)
    return page


def _read_check(raw: Any, info: ValidationInfo) -> CheckConfig:
    defaults = info.data.get("defaults") or Defaults()
    return read_check(raw, {key: getattr(defaults, key) for key in defaults.model_fields_set})


def _reachable_for_people(auth: Auth, info: ValidationInfo) -> Auth:
    if auth.sign_in is not None and "http" in info.data:
        refuse_unreachable(info.data["http"].external_url)
    return auth


AnyCheck = Annotated[SerializeAsAny[CheckConfig], BeforeValidator(_read_check), SchemaOfKinds(CHECKS)]


def _several(raw: Any) -> Any:
    return (raw,) if isinstance(raw, str) else raw


def _embedded_checks() -> dict[str, Any]:
    """Return the checks that run without a configuration: this host and this process."""
    return {kind: {"kind": kind} for kind in ("memory", "disk", "process")}


class Settings(Model):
    """Whole configuration of the daemon. The order of fields matters: checks read the defaults above them."""

    include: Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])] = ()
    """Other files of the same configuration, relative to this file: paths, patterns such as `healthd.d/*.yaml`, or a
    folder."""
    environment: Name = "development"
    """Name of this deployment in answers, metrics and alert routes."""
    version: str = "unknown"
    """Version of the monitored service, as shown in answers."""
    level: Level = Level.COMPREHENSIVE
    """Monitoring level: a check above this level does not run."""
    http: Http = Http()
    """HTTP server."""
    auth: Annotated[Auth, AfterValidator(_reachable_for_people)] = Auth()
    """Who may call: tokens, workloads, people."""
    log: Log = Log()
    """Logging."""
    sentry: Sentry = Sentry()
    """Error reports."""
    otlp: Otlp | None = None
    """Receiver of OpenTelemetry for metrics and the spans of gates; nothing is sent without one."""
    journal: Annotated[SecretStr, AfterValidator(_journal)] | None = None
    """Address of the journal: `sqlite:///path` or `postgresql://…`; by default in `./var` in development,
    `/var/lib/healthd` elsewhere."""
    retention: Duration = Field(90 * 86400.0, ge=3600)
    """Time for which the journal keeps transitions, audit and gates that are over."""
    defaults: Defaults = Defaults()
    """Defaults of a check, used when neither it nor its kind sets the option."""
    templates: Templates = Templates()
    """Options that entries share by naming a template."""
    checks: Annotated[dict[Name, AnyCheck], AfterValidator(consistent)] = Field(
        default_factory=_embedded_checks, validate_default=True
    )
    """Checks by name. By default: this host and this process."""
    groups: dict[Name, Annotated[Group, AfterValidator(_names_checks)]] = {}
    """Sets of checks with an endpoint each; `ready` has all critical checks by default, and `startup` and `preflight`
    (the pre-deployment checklist) are the same as `ready`."""
    maintenance: tuple[Annotated[Maintenance, AfterValidator(_names_checks), AfterValidator(_names_groups)], ...] = ()
    """Planned maintenance windows."""
    silences: tuple[Annotated[Silence, AfterValidator(_names_checks), AfterValidator(_names_groups)], ...] = ()
    """Planned windows without notifications."""
    public_pages: dict[Name, Annotated[PublicPage, AfterValidator(_shows_checks)]] = {}
    """Pages for customers, by the name in their address, `/status/NAME`."""
    notifiers: dict[Name, AnyNotifier] = {}
    """Notifiers by name."""
    routes: tuple[KnownRoute, ...] = ()
    """Routes of notifications to notifiers. Without one no notification is sent."""

    @property
    def windows(self) -> tuple[CheckWindow, ...]:
        """Planned windows that cover checks."""
        return (*self.maintenance, *self.silences)

    @property
    def active_notifiers(self) -> dict[str, NotifierConfig]:
        """Notifiers that send: enabled, and not an optional one whose variables are unset."""
        return {
            name: notifier
            for name, notifier in self.notifiers.items()
            if notifier.enabled and not (notifier.optional and isinstance(notifier, MisconfiguredNotifier))
        }

    @property
    def active_checks(self) -> dict[str, CheckConfig]:
        """Checks that run: enabled, within the level, and not an optional one whose variables are unset."""
        return {
            name: check
            for name, check in self.checks.items()
            if check.enabled
            and self.level.includes(check.level)
            and not (check.optional and isinstance(check, MisconfiguredConfig))
        }

    @property
    def spread_checks(self) -> dict[str, CheckConfig]:
        """Checks that replicas run for each other: never those that decide whether traffic is sent here."""
        deciding = {name for group in _OWN_GROUPS for name in self.active_groups[group].checks}
        return {
            name: check
            for name, check in self.active_checks.items()
            if check.may_be_spread and not check.critical and name not in deciding
            if not isinstance(check, HeartbeatConfig | MisconfiguredConfig)
        }

    @property
    def active_groups(self) -> dict[str, Group]:
        """Groups with an endpoint, with the defaults of the daemon's own groups where the file does not set them."""
        critical = tuple(name for name, check in self.active_checks.items() if check.critical)
        ready = self.groups.get("ready", Group(checks=critical))
        groups = {"ready": ready, "live": Group(), "startup": ready, "preflight": ready, **self.groups}
        return {
            name: group.model_copy(update={"checks": tuple(c for c in group.checks if c in self.active_checks)})
            for name, group in groups.items()
        }

    @property
    def notes(self) -> list[str]:
        """Notes on options that are valid but deserve attention, each with its key. None contains a secret."""
        told = [f"checks.{name}: {note}" for name, check in self.active_checks.items() for note in check.notes]
        told += [f"journal: {note}" for note in notes_of(self.journal_url)]
        wanted = [name for name, check in self.active_checks.items() if check.spread is not None]
        if wanted and not self.spread_checks:
            told.append(f"checks.{wanted[0]}.spread: {_NONE_IS_SPREAD}")
        now = datetime.now(UTC)
        told += [
            f"auth.tokens: {token.name} is refused since {stamp(token.expires)}: make another, or take it out"
            for token in self.auth.tokens
            if token.expires is not None and token.has_expired(now)
        ]
        if self.auth.sign_in is not None and self.auth.sign_in.session_secret is None:
            told.append(f"auth.sign_in: {NO_SESSION_SECRET}")
        for section, known in (("checks", self.checks), ("groups", {*_OWN_GROUPS, *self.groups})):
            told += self.notes_on_callers(section, known)
        return [*told, *self._notes_on_windows(), *self._notes_on_pages()]

    def _notes_on_pages(self) -> Iterator[str]:
        """Yield a note for each component of a public page that has no check that runs: it can never be shown as up."""
        groups = self.active_groups
        inside = {name: [key for key, group in groups.items() if name in group.checks] for name in self.active_checks}
        for name, page in self.public_pages.items():
            for number, component in enumerate(page.components):
                if not any(component.takes(check, inside[check]) for check in inside):
                    yield f"public_pages.{name}.components.{number}: no check of it runs: it is shown as not known"

    def _notes_on_windows(self) -> Iterator[str]:
        """Yield a note for each window that covers no check. It is no error: windows may stand in a file that several
        environments share."""
        labels = {name: check.labels for name, check in self.checks.items()}
        groups = self.active_groups
        for section, windows in (("maintenance", self.maintenance), ("silences", self.silences)):
            yield from notes_on_times(section, windows)
            for number, window in enumerate(windows):
                inside = {name: [key for key, group in groups.items() if name in group.checks] for name in labels}
                if not any(window.takes(name, labels[name], inside[name]) for name in labels):
                    yield f"{section}.{number}: {nothing_covered('check', window.checks, window.labels, labels)}"

    def notes_on_callers(self, section: str, known: Collection[str]) -> list[str]:
        """Return a note for each name that a token is bound to and that is not under a section. It is no error: tokens
        may stand in a file that several environments share, and a pattern may match later."""
        strangers = self.auth.strangers(section, known)
        return [f"auth: {caller} is bound to {not_under(section, name, known)}" for caller, name in strangers]

    @property
    def journal_url(self) -> str:
        if self.journal is not None:
            return self.journal.get_secret_value()
        local = self.environment == "development"
        return "sqlite:///var/healthd.db" if local else "sqlite:////var/lib/healthd/healthd.db"
