"""The options of the source `access_log`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from yarl import URL

from healthd.checks.expectations import Statuses
from healthd.config.model import Model, Name
from healthd.nearest import did_you_mean
from healthd.runtime.patterns import checked_pattern
from healthd.units import Duration, show_duration
from healthd.wording import shape
from healthd_gates.sources.access_log.format import Format
from healthd_gates.sources.access_log.formats import ADDRESSES, FORMATS, format_of, pattern_format
from healthd_gates.sources.access_log.routes import PATH
from healthd_gates.sources.access_log.s3_keys import INTERVAL
from healthd_gates.sources.access_log.s3_options import S3Log
from healthd_gates.sources.access_log.series import check as check_series
from healthd_gates.sources.access_log.tally import CLIENT_CLOSED
from healthd_gates.sources.contract import Arm, ArmError, Arms, Series, SourceConfig
from healthd_gates.sources.selectors import filled

_EDGES = tuple(0.001 * 1.25**step for step in range(51))  # 1 ms to 70 s, finer than any ratio that is judged
_AGENTS = ("healthd/", "ELB-HealthChecker/", "kube-probe/", "GoogleHC/", "Prometheus/", "Blackbox")
_PATHS = ("/health", "/health/*", "/healthz", "/livez", "/readyz", "/metrics")
Role = Literal[
    "status", "duration", "upstream", "upstream_status", "upstream_duration", "agent", "request", "method", "time"
]
_MORE = 60.0  # seconds beyond which what is in S3 is later than usual
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path, such as /var/log/nginx/access.log")
    return path


def _known_format(text: str) -> str:
    try:
        format_of(text)
    except ValueError as error:
        known = ", ".join(FORMATS)
        hint = did_you_mean(text, FORMATS)
        if "$" in text:
            raise ValueError(f"is no log_format that can be read: it {error}") from None
        raise ValueError(f"{error}; there are: {known}; or NGINX's log_format with its $variables.{hint}") from None
    return text


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_more), WithJsonSchema(_TEXTS)]


SyslogAddress = Annotated[
    str,
    Field(
        pattern=shape(
            r"^(?:(?:udp|tcp)://[^\s/?#:@]+:\d{1,5}|(?:udp|tcp)://\[[0-9a-fA-F:.]+\]:\d{1,5}|unix:///[^\s?#]+)$",
            "udp://ADDRESS:PORT, tcp://ADDRESS:PORT or unix:///PATH",
        )
    ),
]


class Heartbeat(Model):
    """A request of healthd's own through the proxy, every few seconds. While it shows in the log, silence is no
    traffic; without it a log that stands still is no telemetry."""

    url: str = Field(
        pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """Address of the proxy, and a path that it logs."""
    interval: Duration = Field(5.0, ge=1, le=60)
    """Time between two requests."""


class AccessLogConfig(SourceConfig):
    """The access log of a proxy on this host, NGINX, HAProxy, Caddy, Traefik or Apache, or of an AWS load balancer in
    S3."""

    kind: Literal["access_log"]
    file: Annotated[Path, AfterValidator(_absolute)] | None = None
    """The log, which is followed through its rotation."""
    syslog: SyslogAddress | None = None
    """Address to which the proxy sends its log instead: `udp://127.0.0.1:5514`, `tcp://…` or `unix:///run/healthd/nginx.sock`."""
    s3: S3Log | None = None
    """The bucket into which an AWS Application Load Balancer puts its log instead, minutes later; the format is
    `alb`."""
    format: Annotated[str, AfterValidator(_known_format)] = "nginx_combined"
    """`nginx_combined`, `nginx_json`, `haproxy_http`, `caddy_json`, `traefik_json`, `apache_combined` or `alb`; or the
    text of NGINX's own `log_format`, as it is in its configuration."""
    pattern: Annotated[str, AfterValidator(checked_pattern)] | None = None
    """A regular expression with named groups, where no format fits: `status`, and of `duration`, `upstream`, `agent`,
    `request` and others what there is."""
    fields: dict[Role, str] = Field(default_factory=dict)
    """Fields of a line that have the `status`, the `duration` and so on, where a format of JSON has other names."""
    duration_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of the durations, if not the format's own."""
    arms_by: str | None = None
    """The field that tells the versions apart, such as `upstream_addr`, `server_name` or a header's; the format's own
    unless given. Without any, all lines are the candidate's."""
    value: str | None = None
    """The field's value for an arm: a text with `$version`, `$target` or a label. Unless given, the addresses of its
    target where the field has an address, and otherwise `$target`."""
    values: dict[Name, Texts] = Field(default_factory=dict)
    """The field's values for each target, where they are not its addresses, such as `unix:/run/blue.sock`."""
    only: dict[str, Texts] = Field(default_factory=dict)
    """The lines that count: fields, such as `server_name`, and the values that they must have."""
    errors: Statuses = ("5xx",)
    """Statuses of failed requests."""
    client_closed: Literal["ignored", "error"] = "ignored"
    """Meaning of a request whose client went away (499) before it was answered."""
    latency_of: Literal["upstream", "request"] = "upstream"
    """The duration that is judged where a line has both: that of the server, or that of the whole request, with the
    time that the client took."""
    ignore_agents: Texts = _AGENTS
    """Beginnings of the user agents whose requests do not count: probes and health checks."""
    ignore_paths: Annotated[
        tuple[Annotated[str, Field(pattern=shape(r"^/[^\s*?]*\*?$", "a path, with * at its end or not"))], ...],
        BeforeValidator(_one_or_more),
        WithJsonSchema(_TEXTS),
    ] = _PATHS
    """Paths that do not count: of health checks; with `*` at its end all paths that begin so."""
    silent_after: Duration = 30.0
    """Time without a new line after which there is no telemetry; with `s3` six minutes and its `delay`, unless
    given."""
    heartbeat: Heartbeat | None = None
    """Requests that show whether the log is written to."""
    edges: tuple[Duration, ...] = Field(default_factory=lambda: _EDGES, max_length=200)
    """Bucket edges of the latency, beside the limits of the policy; a fine grid unless given."""

    latency_is_missing: ClassVar[str] = (
        "durations: add $request_time and $upstream_response_time to NGINX's log_format, %D to Apache's"
    )

    def edges_under(self, limits: Sequence[float]) -> tuple[float, ...]:
        return tuple(sorted({*self.edges, *limits}))

    @property
    def lateness(self) -> float:
        return max(super().lateness, self.silent_for)

    @property
    def silent_for(self) -> float:
        """Seconds without a new line after which there is no telemetry."""
        if self.s3 is not None and "silent_after" not in self.model_fields_set:
            return INTERVAL + self.s3.delay + _MORE
        return self.silent_after

    @model_validator(mode="after")
    def _has_what_it_names(self) -> Self:
        places = [place for place in (self.file, self.syslog, self.s3) if place is not None]
        if len(places) != 1:
            text = "name the log, or with syslog where it is sent to, or with s3 the bucket that it is in"
            raise ValueError(f"file is missing: {text}; not both")
        if self.s3 is not None:
            if self.pattern is not None or self.format not in ("alb", "nginx_combined"):
                raise ValueError(
                    "s3 is for what an Application Load Balancer writes, whose format is alb: leave it out"
                )
            if self.silent_for < (least := INTERVAL + self.s3.delay):
                raise ValueError(f"silent_after: five minutes come at once: write at least {show_duration(least)}")
        if self.pattern is not None and "format" in self.model_fields_set:
            raise ValueError("format and pattern are two ways to say what a line looks like: give one")
        if self.value is not None and self.values:
            raise ValueError("value and values are two ways to say which lines are an arm's: give one")
        form = self.form
        if (self.value or self.values) and self.key is None:
            raise ValueError("arms_by is missing: the field that has the value")
        if not form.has(form.roles.status):
            others = ", ".join(get_args(Role)[1:])
            raise ValueError(f"pattern needs a group (?P<status>…); others that are known are: {others}")
        named = {"arms_by": self.arms_by, **{f"only.{name}": name for name in self.only}}
        for option, name in (*named.items(), *((f"fields.{role}", name) for role, name in self.fields.items())):
            if name is not None and not form.has(name):
                there = ", ".join(form.fields or ())
                raise ValueError(
                    f"{option} is {name!r}, which {form.name} has not; there are: {there}."
                    f"{did_you_mean(name, form.fields or ())}"
                )
        if self.heartbeat is not None and form.roles.request is None:
            raise ValueError("heartbeat needs the request in the line: it is found by its path")
        return self

    @property
    def form(self) -> Format:
        """Reading of a line."""
        name = self.format if self.s3 is None else "alb"
        form = format_of(name) if self.pattern is None else pattern_format(self.pattern)
        roles = replace(form.roles, **cast(dict[str, Any], self.fields))
        if self.duration_unit is not None:
            roles = replace(roles, per_second=_PER_SECOND[self.duration_unit])
        if "upstream" in self.fields:
            roles = replace(roles, arms=self.fields["upstream"])
        return replace(form, roles=roles)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Numbers that a policy may need and the format does not have."""
        return () if self.measures_latency else (f"no latencies: its lines have no {self.latency_is_missing}",)

    @property
    def log(self) -> str:
        """The log's name, for people."""
        return self.s3.address if self.s3 is not None else str(self.file or self.syslog)

    @property
    def key(self) -> str | None:
        """The field that tells the versions apart; None if no field does."""
        return self.arms_by or self.form.roles.arms

    @property
    def by_address(self) -> bool:
        """True if that field has the address of a server."""
        roles = self.form.roles
        return self.value is None and (self.key in ADDRESSES or (self.key is not None and self.key == roles.upstream))

    @property
    def measures_latency(self) -> bool:
        return self.form.roles.duration is not None or self.form.roles.upstream_duration is not None

    def counts(self, status: int) -> bool:
        """True of a status whose requests count."""
        return status != CLIENT_CLOSED or self.client_closed == "error"

    def check_series(self, series: Series) -> None:
        check_series(series, self.form, self.counts)

    def tells_series_apart(self, series: Series) -> bool:
        return self.key is not None

    def check_split(self, label: str) -> None:
        form = self.form
        if label == PATH and form.roles.request is None:
            raise ValueError("by: path needs the request in the line, such as NGINX's $request")
        if label != PATH and not form.has(label):
            known = (*(form.fields or ()), PATH)
            raise ValueError(
                f"by: {label} is no field of {form.name}; there are: {', '.join(known)}.{did_you_mean(label, known)}"
            )

    def check_latency_split(self, label: str) -> None:
        self.check_split(label)

    def check(self, arms: Arms) -> None:
        for name, arm in arms.named().items():
            self.expected(name, arm)

    def tells_apart(self, arms: Arms) -> bool:
        expected = [self.expected(name, arm) for name, arm in arms.named().items()]
        return len(expected) < 2 or (expected[0] is not None and expected[0] != expected[1])

    def expected(self, name: str, arm: Arm) -> frozenset[str] | None:
        """Return the values of an arm's lines, or the addresses of its target; None if all lines are its own. Raises
        ArmError."""
        if self.key is None:
            return None
        if self.values:
            if arm.target not in self.values:
                raise ArmError(f"{name}.target", f"is needed: one of those under values: {', '.join(self.values)}")
            return frozenset(self.values[arm.target])
        if self.by_address:
            if not arm.urls:
                raise ArmError(f"{name}.target", f"is needed: the log tells the targets apart by {self.key}")
            return frozenset(_address(url) for url in arm.urls)
        return frozenset((filled(self.value or "$target", name, arm),))


def _address(url: str) -> str:
    """Return host:port of a target."""
    parsed = URL(url)
    host = parsed.raw_host or ""
    return f"[{host}]:{parsed.port}" if ":" in host else f"{host}:{parsed.port}"
