"""Counts and values from Graphite, by the render API."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from healthd.model import FailureKind
from healthd.runtime.web_address import ShownMasked
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.contract import Arm, Arms, SourceConfig, SourceContext
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.selectors import filled
from healthd_gates.sources.window_counts import Found
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows, is_number
from healthd_gates.sources.windows_api import Texts, WindowsApi, ask_together
from healthd_gates.sources.windows_source import WindowsSource

_QUOTED = re.compile(r"""('[^']*'|"[^"]*")""")
_EDGE = re.compile(r"\$le\b")
_INNERMOST = re.compile(r"\([^()]*\)")
_IN_AN_ADDRESS = 3500  # characters that the targets of a call take up: Gunicorn, which often runs it, reads 4094
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")  # what would end a node of a path, or mean something in it
_IN_PATTERN = re.compile(r"=~[^'\"]*\$[a-zA-Z_]")
_RATE = re.compile(
    r"\.(rate|count_ps|[mhd]\d+_rate|mean(?:_\w+)?|median|upper(?:_\d+)?|lower(?:_\d+)?|p\d+|std(?:dev)?)(?=[\s,)]|$)"
)
_NO_COUNT = re.compile(
    r"\b(perSecond|derivative|scaleToSeconds|asPercent|divideSeries|integral|avg|averageSeries\w*|moving\w+|maxSeries"
    r"|minSeries|medianSeries|stddevSeries|(?:nP|p)ercentile\w*|keepLastValue|interpolate|transformNull|timeShift)\s*\("
)


class GraphiteConfig(HttpWindowsConfig):
    """Targets as Graphite's render API takes them, each of one series, such as
    `sumSeries(stats.counters.shop.$version.*.requests.count)`.
    """

    asks_between: ClassVar[bool] = True

    kind: Literal["graphite"]
    url: Annotated[
        str,
        Field(
            pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
        ),
        ShownMasked(),
    ]
    """Address of graphite-web, or of what answers as it does, without `/render`."""
    delay: Duration = 30.0
    """Time after its end from which a window's numbers no longer change."""

    def check_text(self, text: str) -> None:
        self.check_value(text)
        plain = _QUOTED.sub("''", text)
        if (rate := _RATE.search(plain)) is not None:
            raise ValueError(f".{rate[1]} gives no count: name what each interval counted, such as statsd's .count")
        if (found := _NO_COUNT.search(plain)) is not None:
            raise ValueError(
                f"{found[1]}() gives no count: name what each interval counted; of a counter that only grows that is"
                " nonNegativeDerivative(…)"
            )

    def check_value(self, text: str) -> None:
        plain = _QUOTED.sub("", text)
        if not text.strip():
            raise ValueError("is no target: write sumSeries(stats.counters.shop.$version.*.requests.count)")
        outside = plain
        while (shorter := _INNERMOST.sub("", outside)) != outside:
            outside = shorter
        if re.search(r"['\"]", plain) or re.search(r"[()]", outside):
            raise ValueError("has a quote or a parenthesis without its counterpart, which Graphite takes for no data")
        if _IN_PATTERN.search(text):
            raise ValueError("a placeholder may not stand in a pattern: compare by =")

    def fill(self, text: str, name: str, arm: Arm) -> str:
        return _by_place(text, lambda part, quote: filled(part, name, arm, quote))

    def latency_at(self, edge: float) -> str:
        number = self.edge_in_unit(edge)
        return _by_place(self.latency or "", lambda part, quote: _EDGE.sub(quote(number), part))


class Graphite(WindowsSource):
    """One gate's reader of Graphite."""

    config_model: ClassVar[type[SourceConfig]] = GraphiteConfig

    def __init__(self, config: GraphiteConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        self._endpoint = Endpoint(config, context.redact)
        self._api = WindowsApi("Graphite", self._endpoint, context.clock)
        self._url = f"{config.url.rstrip('/')}/render"

    async def ask(self, queries: Sequence[Query], span: Span) -> Found:
        names = {query: f"q{place}" for place, query in enumerate(queries)}
        texts = {query: f'alias({query.text},"{name}")' for query, name in names.items()}
        async with self._endpoint.one_look():
            return await ask_together(texts, lambda call: self._ask(call, names, span), _IN_AN_ADDRESS)

    async def close(self) -> None:
        await self._endpoint.close()

    async def _ask(self, texts: Texts, names: Mapping[Query, str], span: Span) -> Found:
        """Return the windows. A window more is asked for, as an increase is known from the second point on; `from`
        itself is left out by Graphite."""
        params = [
            *(("target", text) for text in texts.values()),
            ("from", f"{span.start - span.window - 1}"),
            ("until", f"{span.end}"),
            ("format", "json"),
            ("noCache", "true"),
        ]
        document = await self._api.call(self._url, params)
        series: dict[str, list[tuple[float, Any]]] = {}
        try:
            for each in _list(document):
                points = [(float(at), value) for value, at in each["datapoints"]]
                if each["target"] in series:
                    text = "a target gives several series: add sumSeries()"
                    raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)
                series[each["target"]] = points
        except (KeyError, TypeError, ValueError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer without datapoints") from None
        return {query: self._windows_of(series.get(names[query], []), query, span) for query in texts}

    def _windows_of(self, points: Sequence[tuple[float, Any]], query: Query, span: Span) -> Windows:
        """Return of each window what its points add up to, or their mean."""
        apart = max((later - earlier for (earlier, _), (later, _) in pairwise(points)), default=0.0)
        if apart > span.window:
            text = f"the points are {apart:g} s apart, which is more than a window: use a `window` of as much"
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)
        inside = defaultdict[int, list[float]](list)
        for at, value in points:
            start = int(at // span.window) * span.window
            if is_number(value) and start in range(span.start, span.end, span.window):
                inside[start].append(value)
        return {start: sum(each) / (1 if query.counts else len(each)) for start, each in inside.items()}


def _list(document: Any) -> list[Any]:
    if not isinstance(document, list):
        raise TypeError(document)
    return document


def _by_place(text: str, fill: Callable[[str, Callable[[str], str]], str]) -> str:
    """Fill a text in: within quotes with values as they are, and in a path with a `_` for what cannot stand there."""
    parts = _QUOTED.split(text)
    return "".join(fill(part, str if number % 2 else _node) for number, part in enumerate(parts))


def _node(value: str) -> str:
    return _NO_NAME.sub("_", value)
