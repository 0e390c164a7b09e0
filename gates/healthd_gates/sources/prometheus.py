"""Counts from a Prometheus-compatible server. `prometheus_api.py` makes the queries, `prometheus_counters.py` turns raw
samples into increases, and `prometheus_series.py` reads what criteria name of their own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, Secret, model_validator

from healthd.runtime.web_address import ShownMasked
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.domain.evidence import Evidence
from healthd_gates.sources import prometheus_series
from healthd_gates.sources.arm_look import Standpoint, combined
from healthd_gates.sources.contract import (
    Arm,
    Arms,
    Cursor,
    Look,
    Series,
    SourceConfig,
    SourceContext,
    SourceUnavailable,
)
from healthd_gates.sources.counters import Family
from healthd_gates.sources.endpoint import Endpoint, all_of
from healthd_gates.sources.http_options import HttpConfig
from healthd_gates.sources.inspection import Inspection
from healthd_gates.sources.own_series import SeriesReader, all_and, or_outage, with_streams
from healthd_gates.sources.presets import PresetName, filled_in, without_required
from healthd_gates.sources.processes import Sign, Use
from healthd_gates.sources.prometheus_api import QueryApi
from healthd_gates.sources.prometheus_counters import CounterReader, CountersConfig, Step
from healthd_gates.sources.prometheus_inspection import inspect
from healthd_gates.sources.prometheus_series import CountedSeries, MeasuredSeries
from healthd_gates.sources.selector_texts import CounterText, HistogramText, SelectorText, check_split
from healthd_gates.sources.selectors import LatencyUnit, Selector

_API = re.compile(r"/api/v1(/query(_range)?)?/?$")


def _base(url: str) -> str:
    """Check an address. Raises ValueError for that of a call instead of the server's."""
    if (found := _API.search(url)) is not None:
        raise ValueError(f"must be the address of the server: leave {found[0]} out")
    return url


class PrometheusConfig(HttpConfig):
    """Counters in a Prometheus-compatible server, by vector selectors in which `$version`, `$target` and the names of
    the request's labels are replaced by an arm's values.
    """

    model_config = ConfigDict(json_schema_extra=without_required)

    kind: Literal["prometheus"]
    url: Annotated[
        str,
        Field(
            pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
        ),
        AfterValidator(_base),
        ShownMasked(),
    ]
    """Base address of the query API, without `/api/v1`."""
    preset: PresetName | None = None
    """Fills in `requests`, `errors`, `latency`, `up` and `started` for an exporter; what stands beside it is kept."""
    matchers: str = ""
    """With a preset: further conditions on the labels of its series, such as `namespace="shop",version="$version"`."""
    requests: CounterText
    """Selects the counters of requests; a preset fills it in."""
    errors: CounterText
    """Selects the counters of failed requests; a preset fills it in."""
    latency: HistogramText | None = None
    """Selects the buckets of a histogram, or a native histogram: of seconds, or of milli-, micro- or nanoseconds where
    its name ends so."""
    latency_unit: LatencyUnit | None = None
    """Unit of the histogram, if its name does not end with it and it is not seconds."""
    up: SelectorText | None = None
    """Selects a series that is above 0 while an arm is scraped, such as `up`: it distinguishes no traffic from no
    telemetry."""
    started: SelectorText | None = None
    """Selects the start times of processes: they show restarts that no counter shows."""
    process: tuple[str, ...] = ("job", "instance")
    """The labels that distinguish processes; a series with none of them is a process by itself."""
    lookback: Duration = 60.0
    """Longest delay of a sample; after that time without any there is no telemetry."""
    params: Secret[dict[str, str]] = Field(default_factory=lambda: Secret({}))
    """Query parameters to send, such as those of Thanos; they are treated as secrets."""
    max_series: int = Field(20_000, ge=1)
    """The most series that one selector may match."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, raw: Any) -> Any:
        return filled_in(raw)

    @model_validator(mode="after")
    def _matchers_are_a_presets(self) -> Self:
        if self.matchers and self.preset is None:
            raise ValueError("matchers are those of a preset: without one write them into the selectors")
        return self

    @property
    def lateness(self) -> float:
        return max(super().lateness, self.lookback)

    @model_validator(mode="after")
    def _params_are_free(self) -> Self:
        if reserved := {"query", "time"} & set(self.params.get_secret_value()):
            raise ValueError(f"params: {min(reserved)} is healthd's own to set")
        return self

    def check(self, arms: Arms) -> None:
        for name, arm in arms.named().items():
            self.selectors(name, arm)

    @property
    def measures_latency(self) -> bool:
        return self.latency is not None

    @property
    def shared_by_versions(self) -> str | None:
        return None if self.requests.tells_apart else "requests"

    def tells_apart(self, arms: Arms) -> bool:
        candidate, *baseline = (self.selectors(name, arm) for name, arm in arms.named().items())
        return not baseline or candidate[Family.REQUESTS] != baseline[0][Family.REQUESTS]

    def check_split(self, label: str) -> None:
        check_split(label, self.requests, self.errors)

    def check_latency_split(self, label: str) -> None:
        check_split(label, *((self.latency,) if self.latency is not None else ()))

    @property
    def counts_instances(self) -> bool:
        return True

    def check_series(self, series: Series) -> None:
        prometheus_series.check(series)

    def check_series_of(self, series: Series, arms: Arms) -> None:
        prometheus_series.check_arms(series, arms)

    def tells_series_apart(self, series: Series) -> bool:
        return prometheus_series.tells_apart(series)

    @property
    def counting(self) -> CountersConfig:
        """Reading of the source's own counters."""
        return CountersConfig(self.lookback, self.process, self.latency_per_second)

    def selectors(self, name: str, arm: Arm) -> dict[Use, Selector]:
        """Return the arm's selectors, filled in. Raises ArmError."""
        return {use: selector.fill(name, arm) for use, selector in self.written.items()}

    @property
    def latency_per_second(self) -> float:
        """Number of units of the latencies in a second."""
        return self.buckets.per_second if self.buckets is not None else 1.0

    @property
    def buckets(self) -> Selector | None:
        """The selector of the histogram, with its unit."""
        return self.latency and replace(self.latency, unit=self.latency_unit)

    @property
    def written(self) -> dict[Use, Selector]:
        """The selectors as they are in the configuration."""
        selectors: dict[Use, Selector | None] = {
            Family.REQUESTS: self.requests,
            Family.ERRORS: self.errors,
            Family.BUCKET: self.buckets,
            Family.SUM: self.buckets.sum_of_buckets() if self.buckets and self.buckets.is_classic else None,
            Sign.UP: self.up,
            Sign.STARTED: self.started,
        }
        return {use: selector for use, selector in selectors.items() if selector is not None}


class Prometheus:
    """One gate's reader of a Prometheus-compatible server."""

    config_model: ClassVar[type[SourceConfig]] = PrometheusConfig

    def __init__(self, config: PrometheusConfig, arms: Arms, context: SourceContext) -> None:
        self._config, self._clock = config, context.clock
        self._selectors = {name: config.selectors(name, arm) for name, arm in arms.named().items()}
        self._limits, self._by, self._latency_by = context.edges, context.by, context.latency_by
        self._endpoint = Endpoint(config, context.redact)
        self._api = QueryApi(config.url, config.params.get_secret_value(), config.max_series, self._endpoint)
        self._counters = CounterReader(
            replace(config.counting, by=context.by, latency_by=context.latency_by),
            self._selectors,
            self._api,
            self._endpoint,
        )
        self._series = {series.stream: self._reader(series, arms) for series in context.series}

    def _reader(self, series: Series, arms: Arms) -> SeriesReader:
        if series.shape == "values":
            return MeasuredSeries(series, self._config.lookback, arms, self._api)
        return CountedSeries(series, self._config.up, self._config.counting, arms, self._api, self._endpoint)

    async def observe(self, since: Cursor | None) -> Look:
        async with self._endpoint.one_look():
            now = self._clock.now()
            positions = since.get("streams", {}) if since is not None else {}
            own = {name: or_outage(each.look(positions.get(name), now)) for name, each in self._series.items()}
            main, looks = await all_and(or_outage(self._observe(since, now)), own)
            return with_streams(main, looks, since, now)

    async def _observe(self, since: Cursor | None, now: datetime) -> Look:
        at = now.timestamp()
        if since is None:
            return combined(await self._counters.begin(at), now, None)
        before = Standpoint.from_json(since)
        return combined(await self._counters.look(before, at), now, before)

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        """Return the evidence of every `step` seconds from `start` on, oldest first; an incomplete last step is left
        out."""
        steps = int((end - start).total_seconds() / step + 1e-9)
        begin = start.timestamp()
        arms = await self._counters.past(begin, step, steps)
        own = await all_of({name: or_outage(each.past(begin, step, steps)) for name, each in self._series.items()})
        nothing: list[Step] = [(None, 0)] * steps
        pairs = zip(arms["candidate"], arms.get("baseline", nothing), strict=True)
        return [
            Evidence(
                start + timedelta(seconds=step * (place + 1)),
                step,
                candidate,
                baseline,
                resets=resets + others,
                streams={name: past[place] for name, past in own.items() if not isinstance(past, SourceUnavailable)},
            )
            for place, ((candidate, resets), (baseline, others)) in enumerate(pairs)
        ]

    async def inspect(self) -> Inspection:
        async with self._endpoint.one_look():
            at = self._clock.now().timestamp()
            found = await inspect(
                self._api,
                self._config.written,
                self._selectors,
                at,
                self._limits,
                self._config.preset,
                self._by,
                self._latency_by,
            )
            refused = list[str]()
            own = await all_of({name: or_outage(each.inspect(at)) for name, each in self._series.items()})
            for name, outage in own.items():
                if isinstance(outage, SourceUnavailable):
                    refused.append(f"criterion {name}: {outage}")
            return replace(found, refused=(*found.refused, *refused))

    async def close(self) -> None:
        await self._endpoint.close()
