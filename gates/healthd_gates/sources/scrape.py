"""Counts from the targets' own `/metrics`, with no Prometheus in between. `exposition.py` parses a page, `counters.py`
turns values into increases.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import blake2b
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from yarl import URL

from healthd.model import FailureKind
from healthd.units import Size
from healthd.wording import shape
from healthd_gates.domain.evidence import Lives
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import (
    Arm,
    ArmError,
    Arms,
    Cursor,
    Look,
    Series,
    SourceConfig,
    SourceContext,
    SourceUnavailable,
)
from healthd_gates.sources.counters import Family
from healthd_gates.sources.endpoint import Endpoint, all_of, place_of
from healthd_gates.sources.exposition import ACCEPT, OPENMETRICS, PLAIN, NotAPage, Page, read_page
from healthd_gates.sources.http_options import HttpConfig
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.inspection import Inspection, merely_without_errors
from healthd_gates.sources.lives import own_starts
from healthd_gates.sources.own_series import with_streams
from healthd_gates.sources.presets import PresetName, filled_in, without_required
from healthd_gates.sources.scrape_inspection import inspect
from healthd_gates.sources.scrape_series import Pages, ScrapedSeries, advanced, check_arms, check_texts
from healthd_gates.sources.selector_texts import BucketsText, CounterText, check_split
from healthd_gates.sources.selectors import LatencyUnit, Selector


class ScrapeConfig(HttpConfig):
    """Counters on the targets' own metrics pages, by the same selectors as in Prometheus."""

    model_config = ConfigDict(json_schema_extra=without_required)

    kind: Literal["scrape"]
    preset: PresetName | None = None
    """Fills in `requests`, `errors`, `latency`, `path` and `port` for an exporter; what stands beside it is kept."""
    matchers: str = ""
    """With a preset: further conditions on the labels of its series, such as `namespace="shop",version="$version"`."""
    requests: CounterText
    """Selects the counters of requests; a preset fills it in."""
    errors: CounterText
    """Selects the counters of failed requests; a preset fills it in."""
    latency: BucketsText | None = None
    """Selects the buckets of a histogram: of seconds, or of milli-, micro- or nanoseconds where its name ends so."""
    latency_unit: LatencyUnit | None = None
    """Unit of the histogram, if its name does not end with it and it is not seconds."""
    path: str = Field(
        "/metrics", pattern=shape(r"^/[!-~]*$", "a path that begins with a slash, of visible ASCII characters")
    )
    """Path of a target's metrics page."""
    port: int | None = Field(None, ge=1, le=65535)
    """The port of the metrics, if not that of the traffic."""
    max_size: Size = 16 * 1024**2
    """The longest page that is read, after decompression."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, raw: Any) -> Any:
        return filled_in(raw, by_target=True)

    @model_validator(mode="after")
    def _matchers_are_a_presets(self) -> Self:
        if self.matchers and self.preset is None:
            raise ValueError("matchers are those of a preset: without one write them into the selectors")
        return self

    def check(self, arms: Arms) -> None:
        for name, arm in arms.named().items():
            if not arm.urls:
                raise ArmError(f"{name}.target", "is needed: the source scrapes the targets of the service")
            self.selectors(name, arm)

    def check_split(self, label: str) -> None:
        check_split(label, self.requests, self.errors)

    def check_latency_split(self, label: str) -> None:
        check_split(label, *((self.latency,) if self.latency is not None else ()))

    @property
    def measures_latency(self) -> bool:
        return self.latency is not None

    @property
    def is_apart(self) -> bool:
        return False

    @property
    def is_of_targets(self) -> bool:
        return True

    @property
    def counts_instances(self) -> bool:
        return True

    def check_series(self, series: Series) -> None:
        check_texts(series)

    def check_series_of(self, series: Series, arms: Arms) -> None:
        check_arms(series, arms)

    def tells_series_apart(self, series: Series) -> bool:
        """True: each arm's series are on the pages of its own targets."""
        return True

    def tells_apart(self, arms: Arms) -> bool:
        candidate, *baseline = (
            (arm.urls, self.selectors(name, arm)[Family.REQUESTS]) for name, arm in arms.named().items()
        )
        return not baseline or candidate != baseline[0]

    def selectors(self, name: str, arm: Arm) -> dict[Family, Selector]:
        """Return the arm's selectors, filled in. Raises ArmError."""
        return {family: selector.fill(name, arm) for family, selector in self.written.items()}

    @property
    def latency_per_second(self) -> float:
        """Number of units of the latencies in a second."""
        return self.buckets.per_second if self.buckets is not None else 1.0

    @property
    def buckets(self) -> Selector | None:
        """The selector of the histogram, with its unit."""
        return self.latency and replace(self.latency, unit=self.latency_unit)

    @property
    def written(self) -> dict[Family, Selector]:
        """The selectors as they are in the configuration."""
        written: dict[Family, Selector] = {Family.REQUESTS: self.requests, Family.ERRORS: self.errors}
        if (buckets := self.buckets) is not None:
            written[Family.BUCKET] = buckets
            written[Family.SUM] = buckets.sum_of_buckets()
        return written

    def page(self, url: str) -> str:
        """Return the address of a target's metrics page."""
        base = URL(url)
        at = base.with_port(self.port) if self.port else base
        return str(at.joinpath(self.path.lstrip("/"), encoded=True))


class Scrape:
    """One gate's reader of the targets' pages."""

    config_model: ClassVar[type[SourceConfig]] = ScrapeConfig

    def __init__(self, config: ScrapeConfig, arms: Arms, context: SourceContext) -> None:
        self._config, self._clock = config, context.clock
        self._selectors = {name: config.selectors(name, arm) for name, arm in arms.named().items()}
        self._pages = {name: {_key(url): config.page(url) for url in arm.urls} for name, arm in arms.named().items()}
        self._limits, self._by, self._latency_by = context.edges, context.by, context.latency_by
        self._endpoint = Endpoint(config, context.redact)
        # Addresses of each arm that refused a connection and have not answered since: a look at which nobody answers
        # leaves no cursor that could keep them.
        self._refused = set[tuple[str, str]]()
        self._series = {series.stream: ScrapedSeries(series, arms) for series in context.series}
        self._own = {
            name: {stream: each.own[name] for stream, each in self._series.items()} for name in self._selectors
        }

    async def observe(self, since: Cursor | None) -> Look:
        now = self._clock.now()
        before = None if since is None else Standpoint.from_json(since)
        pages = await all_of({name: self._read(name) for name in self._pages})
        main = combined({name: self._look(name, answers, before) for name, answers in pages.items()}, now, before)
        positions = since.get("streams", {}) if since is not None else {}
        own = {name: each.look(positions.get(name), pages, now) for name, each in self._series.items()}
        return with_streams(main, own, since, now)

    async def close(self) -> None:
        await self._endpoint.close()

    async def _read(self, name: str) -> Pages:
        """Return what each target of an arm answers."""
        return await all_of({key: self._scrape(name, page) for key, page in self._pages[name].items()})

    def _look(self, name: str, pages: Pages, before: Standpoint | None) -> ArmLook:
        states = {} if before is None else before.arms.get(name, {})
        failures = [answer for answer in pages.values() if isinstance(answer, SourceUnavailable)]
        increase, after, matched, gaps = (
            Increase(per_second=self._config.latency_per_second),
            dict(states),
            set[Family](),
            len(failures),
        )
        for key, answer in pages.items():
            if isinstance(answer, SourceUnavailable):
                if answer.is_refused:
                    self._refused.add((name, key))
                continue
            matched |= answer.matched
            [snapshot] = own_starts(name, [answer.snapshot])
            known = states.get(key)
            if (name, key) in self._refused and known is not None:
                known = replace(known, refused=True)
            self._refused.discard((name, key))
            last, is_new = advanced(snapshot, known, before, increase)
            gaps += is_new
            if last is not None:
                after[key] = last
        down = sum(failure.is_down for failure in failures)
        lives = Lives(increase.restarts, increase.repeated, down)
        if len(failures) == len(pages):
            return ArmLook(None, after, gaps, silence=failures[0], notes=tuple(map(str, failures[1:])), lives=lives)
        notes, selectors = [*map(str, failures)], self._selectors[name]
        if Family.REQUESTS in matched and merely_without_errors(selectors[Family.REQUESTS], selectors[Family.ERRORS]):
            matched.add(Family.ERRORS)
        unmatched = [use for use in selectors if use not in matched]
        told = (
            [Family.REQUESTS] if Family.REQUESTS in unmatched else unmatched
        )  # without requests there is nothing else
        notes += [f"no series matches {selectors[use]}" for use in told]
        departed = Family.REQUESTS in unmatched and not failures
        notes = [*notes, *increase.notes]
        return ArmLook(
            increase.counts(), after, gaps, increase.resets, notes=tuple(notes), lives=lives, departed=departed
        )

    async def inspect(self) -> Inspection:
        pages = {name: list(addresses.values()) for name, addresses in self._pages.items()}
        return await inspect(
            pages,
            self._selectors,
            self._config.written,
            self._get,
            self._limits,
            self._config.preset,
            self._by,
            self._own,
            self._latency_by,
        )

    async def _get(self, page: str, accept: str) -> tuple[str, str]:
        """Return a page and its content type. Raises SourceUnavailable, and ValueError for what is no text."""
        answer = await self._endpoint.get(page, accept=accept)
        self._endpoint.refuse_status(page, answer)
        return answer.body.decode(), answer.content_type

    async def _scrape(self, name: str, page: str) -> Page | SourceUnavailable:
        """Scrape one target. It counts even if another one fails."""
        selectors = self._selectors[name]
        try:
            text, content_type = await self._get(page, ACCEPT)
            at = self._clock.now().timestamp()
            options = (selectors, self._by, self._own[name], self._latency_by)
            try:
                return await asyncio.to_thread(read_page, text, content_type, at, *options)
            except NotAPage:
                if not content_type.startswith(OPENMETRICS):
                    raise
            # Prometheus takes pages that break the rules of OpenMetrics; the older format has fewer.
            text, _ = await self._get(page, PLAIN)
            at = self._clock.now().timestamp()
            return await asyncio.to_thread(read_page, text, PLAIN, at, *options)
        except SourceUnavailable as failure:
            return failure
        except ValueError as error:
            return self._endpoint.unavailable(FailureKind.UNEXPECTED_RESPONSE, f"{place_of(page)}: {error}")


def _key(url: str) -> str:
    """Return the key of a target in the cursor, which does not show its address."""
    return blake2b(url.encode(), digest_size=8).hexdigest()
