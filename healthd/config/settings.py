"""Validated configuration. Models only: files are read by `file`, and the gate's options are the gate's own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, ValidationInfo

from healthd.checks import CHECKS
from healthd.checks.contract import CheckConfig, Level
from healthd.checks.heartbeat import HeartbeatConfig
from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.checks.parsing import read_check
from healthd.config.auth import Auth
from healthd.config.check_rules import consistent
from healthd.config.journal_address import JournalAddress
from healthd.config.model import Model, Name
from healthd.config.notes import notes_on
from healthd.config.otlp import Otlp
from healthd.config.outgoing import Outgoing
from healthd.config.public_page import PublicPage
from healthd.config.references import OWN_GROUPS, names_checks, names_groups, shows_checks
from healthd.config.sections import Defaults, Group, Http, Log, Sentry, Templates
from healthd.config.sign_in import refuse_unreachable
from healthd.config.window import CheckWindow, Maintenance, Silence
from healthd.notifiers.contract import MisconfiguredNotifier, NotifierConfig
from healthd.notifiers.parsing import AnyNotifier, KnownRoute
from healthd.registry import SchemaOfKinds
from healthd.units import Duration


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
    """Callers that are let in: tokens, workloads, people."""
    log: Log = Log()
    """Logging."""
    sentry: Sentry = Sentry()
    """Error reports."""
    otlp: Otlp | None = None
    """Receiver of OpenTelemetry for metrics and the spans of gates; nothing is sent without one."""
    outgoing: Outgoing = Outgoing()
    """Way to other hosts."""
    journal: JournalAddress | None = None
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
    groups: dict[Name, Annotated[Group, AfterValidator(names_checks)]] = {}
    """Sets of checks with an endpoint each; `ready` has all critical checks by default, and `startup` and `preflight`
    (the pre-deployment checklist) have the same. `startup` asks only whether each has been probed, and remembers it."""
    maintenance: tuple[Annotated[Maintenance, AfterValidator(names_checks), AfterValidator(names_groups)], ...] = ()
    """Planned maintenance windows."""
    silences: tuple[Annotated[Silence, AfterValidator(names_checks), AfterValidator(names_groups)], ...] = ()
    """Planned windows without notifications."""
    public_pages: dict[Name, Annotated[PublicPage, AfterValidator(shows_checks)]] = {}
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
        deciding = {name for group in OWN_GROUPS for name in self.active_groups[group].checks}
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
        return [*notes_on(self)]

    @property
    def journal_url(self) -> str:
        if self.journal is not None:
            return self.journal.get_secret_value()
        local = self.environment == "development"
        return "sqlite:///var/healthd.db" if local else "sqlite:////var/lib/healthd/healthd.db"
