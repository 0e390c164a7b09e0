"""Any metric of CloudWatch, counted in closed windows, and the states of alarms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from healthd.aws.region import check_region
from healthd.extras import how_to_get
from healthd.model import FailureKind
from healthd.nearest import did_you_mean
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.cloudwatch_api import CloudWatch, Metric, Series
from healthd_gates.sources.contract import Arms, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.selectors import parse_matchers
from healthd_gates.sources.windows import Query, Span, Windows, WindowsConfig
from healthd_gates.sources.windows_source import WindowsSource

_TEXT = re.compile(
    r"\s*(?P<statistic>[A-Za-z]+[0-9.]*(?:\([^()]*\))?)\((?P<namespace>[^{}()]+)/(?P<metric>[^{}()/]+)"
    r"(?:\{(?P<dimensions>.*)\})?\)\s*",
    re.DOTALL,
)
_ALARM = re.compile(r"\s*alarm\((?P<name>[^()]+)\)\s*")
_COUNTING = ("Sum", "SampleCount")
_TRIMMED = re.compile(r"TC\([0-9.]*:[0-9.]*\)")
_STATISTIC = re.compile(r"(?:Average|Minimum|Maximum|IQM|(?:p|tm|wm|tc|ts)\d+(?:\.\d+)?|(?:PR|TM|WM|TS)\([^()]*\))")
_STATES = {"OK": 0.0, "ALARM": 1.0}
_PAUSE = 30.0  # seconds, after AWS throttled; the SDK has tried again by itself before


class CloudWatchMetricsConfig(WindowsConfig):
    """Metrics by `STATISTIC(NAMESPACE/METRIC{dimension="value"})`, such as `Sum(Shop/Checkouts{Version="$version"})`;
    `alarm(NAME)` as a value is 1 while an alarm is in ALARM. Credentials are the SDK's own: environment, profile, role.
    """

    resolution: ClassVar[int] = 60

    kind: Literal["cloudwatch_metrics"]
    region: str | None = None
    """The AWS region; the SDK's own unless given."""
    endpoint: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """The address of CloudWatch, if not the public one."""
    delay: Duration = 120.0
    """Time after its end from which a window's numbers no longer change."""

    @model_validator(mode="after")
    def _sdk_is_there(self) -> Self:
        if find_spec("aiobotocore") is None:
            raise ValueError(f"the source cloudwatch_metrics needs the AWS SDK: {how_to_get('aws')}")
        check_region(self.region, self.endpoint)
        return self

    def check_text(self, text: str) -> None:
        statistic = series_of(text).metric.statistic
        if statistic not in _COUNTING and not _TRIMMED.fullmatch(statistic):
            raise ValueError(f"{statistic} gives no count: use Sum or SampleCount")

    def check_value(self, text: str) -> None:
        if not _ALARM.fullmatch(text):
            series_of(text)


def series_of(text: str) -> Series:
    """Read a metric as it is written. Raises ValueError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f'{text[:80]!r} is no metric: write Sum(Shop/Checkouts{{Version="$version"}})')
    statistic = found["statistic"]
    if statistic not in _COUNTING and not _TRIMMED.fullmatch(statistic) and not _STATISTIC.fullmatch(statistic):
        raise ValueError(f"{statistic} is no statistic.{did_you_mean(statistic, (*_COUNTING, 'Average', 'Maximum'))}")
    names, matchers = parse_matchers(found["dimensions"] or "")
    if names or any(matcher.operator != "=" for matcher in matchers):
        raise ValueError(f'{text[:80]!r}: write dimensions as name="value"; CloudWatch knows no other conditions')
    dimensions = {matcher.label: matcher.value for matcher in matchers}
    return Series(found["namespace"], Metric(found["metric"], statistic), dimensions)


class CloudWatchMetrics(WindowsSource):
    """One gate's reader of CloudWatch."""

    config_model: ClassVar[type[SourceConfig]] = CloudWatchMetricsConfig

    def __init__(self, config: CloudWatchMetricsConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        self._api = CloudWatch(config.region, config.endpoint, config.timeout, context.redact)
        self._now, self._free_at = context.clock.now, 0.0

    async def ask(self, queries: Sequence[Query], span: Span) -> Mapping[Query, Windows]:
        now = self._now().timestamp()
        if 0 < self._free_at - now <= _PAUSE:
            told = "CloudWatch throttled, and is asked again in a while"
            raise SourceUnavailable(FailureKind.RATE_LIMITED, told, unasked=True)
        alarms = {query: match["name"] for query in queries if (match := _ALARM.fullmatch(query.text))}
        asked = {f"m{number}": query for number, query in enumerate(queries) if query not in alarms}
        try:
            found = await self._metrics(asked, span)
            states = await self._api.alarms(tuple(dict.fromkeys(alarms.values()))) if alarms else {}
        except SourceUnavailable as outage:
            if outage.kind is FailureKind.RATE_LIMITED:
                self._free_at = now + _PAUSE
            raise
        windows: dict[Query, Windows] = {query: found[key] for key, query in asked.items()}
        return windows | {query: _state_of(name, states, span) for query, name in alarms.items()}

    async def _metrics(self, asked: Mapping[str, Query], span: Span) -> dict[str, dict[int, float]]:
        series = {key: series_of(query.text) for key, query in asked.items()}
        return await self._api.series(series, span.window, span.start, span.end) if series else {}

    async def close(self) -> None:
        await self._api.close()


def _state_of(name: str, states: Mapping[str, str], span: Span) -> Windows:
    """Return an alarm's present state as the newest window's; nothing where CloudWatch has too little data."""
    if name not in states:
        raise SourceUnavailable(FailureKind.MISCONFIGURED, f"CloudWatch has no alarm {name}")
    state = _STATES.get(states[name])
    return {} if state is None or not len(span) else {span.end - span.window: state}
