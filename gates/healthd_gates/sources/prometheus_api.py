"""The query API that Prometheus, Thanos, Mimir and VictoriaMetrics share: raw samples of a selector, complete or not at
all. `prometheus.py` interprets the samples.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from healthd.model import FailureKind
from healthd.wording import excerpt
from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.endpoint import Answer, Endpoint
from healthd_gates.sources.native_histograms import Native
from healthd_gates.sources.selectors import Selector

_SHOWN = 300  # characters of an error: it may quote a query
_ERROR_KINDS = {
    "timeout": FailureKind.TIMEOUT,
    "canceled": FailureKind.TIMEOUT,
    "bad_data": FailureKind.MISCONFIGURED,
}
_A_FEW = 100  # series whose labels are checked
_LONG = 262_144  # bytes above which parsing would block the event loop


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its labels, and its samples as (seconds since 1970, value), oldest first. A sample that is a native
    histogram has its count as its value, and stands in `natives`."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    natives: tuple[tuple[float, Native], ...] = ()


class QueryApi:
    """Client of one Prometheus-compatible server. Every method raises SourceUnavailable."""

    def __init__(self, url: str, params: Mapping[str, str], max_series: int, endpoint: Endpoint) -> None:
        self._url = url.rstrip("/") + "/api/v1/query"
        self._params, self._max_series, self._endpoint = params, max_series, endpoint

    async def samples(self, selector: Selector, at: float, seconds: float) -> list[Series]:
        """Return the samples of the `seconds` before `at`, as they were scraped: without interpolation or smoothing."""
        return await self._query(f"{selector}[{max(1, ceil(seconds))}s]", at, "matrix")

    async def is_native(self, selector: Selector, at: float, seconds: float) -> bool:
        """True if it selects native histograms. Any other trouble is ignored here: the query for counts reports it."""
        try:
            return any(series.natives for series in await self.samples(selector, at, seconds))
        except SourceUnavailable:
            return False

    async def existed(self, selector: Selector, at: float, seconds: float) -> list[Series]:
        """Return the series that had any sample in the `seconds` before `at`, each with its last value."""
        return await self._query(f"last_over_time({selector}[{max(1, ceil(seconds))}s])", at, "vector")

    async def some(self, selector: Selector, at: float, seconds: float) -> list[Series]:
        """Return a few of the series that had any sample in the `seconds` before `at`."""
        last = f"last_over_time({selector}[{ceil(seconds)}s])"
        if found := await self._query(f"topk({_A_FEW}, {last})", at, "vector"):
            return found
        try:  # native histograms have no order, and not every server knows their functions
            return await self._query(f"topk({_A_FEW}, histogram_count({last}))", at, "vector")
        except SourceUnavailable:
            return []

    async def names(self) -> list[str]:
        """Return the names of all metrics; none if the server does not list them, since they are only used for a
        hint."""
        try:
            url = self._url.removesuffix("/query") + "/label/__name__/values"
            body = await self._decode(await self._endpoint.get(url, self._params, "application/json"))
        except SourceUnavailable:
            return []
        data = body.get("data")
        return [str(name) for name in data] if isinstance(data, list) else []

    async def evaluate(self, query: str, at: float, seconds: float) -> list[float]:
        """Return the values of an expression, one for each series that it gives. What is older than `seconds` is left
        out by a server that can."""
        data = await self._ask(query, {"time": f"{at:.3f}", "lookback_delta": f"{max(1, ceil(seconds))}s"})
        try:
            if data["resultType"] == "scalar":
                return [float(data["result"][1])]
            if data["resultType"] != "vector":
                raise ValueError(f"a {data['resultType']} instead of a value for each instance")
            return [float(raw["value"][1]) for raw in data["result"]]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._unexpected(
                f"answered {query} with something that is no value: {error}", FailureKind.MISCONFIGURED
            ) from error

    async def evaluate_past(
        self, query: str, start: float, step: float, steps: int, seconds: float
    ) -> list[list[float]]:
        """Return the values of an expression at the end of every step from `start` on."""
        window = {
            "start": f"{start + step:.3f}",
            "end": f"{start + step * steps:.3f}",
            "step": f"{step:g}",
            "lookback_delta": f"{max(1, ceil(seconds))}s",
        }
        data = await self._ask(query, window, range_of=True)
        try:
            if data["resultType"] != "matrix":
                raise ValueError(f"a {data['resultType']} instead of a value for each instance")
            found: list[list[float]] = [[] for _ in range(steps)]
            for raw in data["result"]:
                for at, value in raw["values"]:
                    found[round((float(at) - start) / step) - 1].append(float(value))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._unexpected(f"answered {query} with something that is no value: {error}") from error
        return found

    async def _query(self, query: str, at: float, expected: str) -> list[Series]:
        data = await self._ask(query, {"time": f"{at:.3f}"})
        try:
            return self._series(query, data, expected)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unexpected(f"answered {query} with something that is no result: {error!r}") from error

    async def _ask(self, query: str, window: Mapping[str, str], *, range_of: bool = False) -> dict[str, Any]:
        """Return the data of a complete answer."""
        params = {**self._params, "query": query, **window}
        url = self._url + ("_range" if range_of else "")
        answer = await self._endpoint.get(url, params, "application/json")
        body = await self._decode(answer)
        if body.get("status") != "success":
            kind = _ERROR_KINDS.get(str(body.get("errorType")), FailureKind.UNEXPECTED_RESPONSE)
            raise self._unexpected(f"refused {query}: {excerpt(str(body.get('error')), _SHOWN)}", kind)
        if warnings := body.get("warnings"):
            raise self._unexpected(f"answered {query} with warnings: {excerpt('; '.join(map(str, warnings)), _SHOWN)}")
        if body.get("isPartial"):
            raise self._unexpected(f"answered {query} in part only: some of its storage is not there")
        if not isinstance(data := body.get("data"), dict):
            raise self._unexpected(f"answered {query} with something that is no result")
        return data

    async def _decode(self, answer: Answer) -> dict[str, Any]:
        try:
            long = len(answer.body) > _LONG
            body = await asyncio.to_thread(json.loads, answer.body) if long else json.loads(answer.body)
        except ValueError:
            body = None
        if isinstance(body, dict) and "status" in body and answer.status != 401:
            return body
        wrong_place = answer.status == 404 or 200 <= answer.status < 400
        try:
            self._endpoint.refuse_status(self._url, answer)
        except SourceUnavailable as refused:
            if not wrong_place:
                raise
            told = f"{refused}; check the url and its path"
            raise SourceUnavailable(FailureKind.MISCONFIGURED, told, unasked=True) from None
        raise self._unexpected(
            "does not speak the query API of Prometheus: check the url and its path", FailureKind.MISCONFIGURED
        )

    def _series(self, query: str, data: dict[str, Any], expected: str) -> list[Series]:
        if data["resultType"] != expected:
            raise ValueError(f"a {data['resultType']} instead of a {expected}")
        if len(data["result"]) > self._max_series:
            raise self._endpoint.unavailable(
                FailureKind.EXHAUSTED,
                f"{query} matches {len(data['result'])} series, more than max_series ({self._max_series}): narrow it",
            )
        return [_series_of(raw) for raw in data["result"]]

    def _unexpected(self, text: str, kind: FailureKind = FailureKind.UNEXPECTED_RESPONSE) -> SourceUnavailable:
        return self._endpoint.unavailable(kind, f"{self._url} {text}")


def _series_of(raw: Mapping[str, Any]) -> Series:
    """Read one series. Raises KeyError, TypeError, ValueError or AttributeError."""
    values = raw.get("values") or ([raw["value"]] if "value" in raw else [])
    histograms = raw.get("histograms") or ([raw["histogram"]] if "histogram" in raw else [])
    if not values and not histograms:
        raise ValueError("a series without samples")
    natives = tuple((float(at), Native.of(sample)) for at, sample in histograms)
    samples = [(float(at), float(value)) for at, value in values] + [(at, native.count) for at, native in natives]
    labels = {str(name): str(value) for name, value in raw["metric"].items()}
    return Series(labels, tuple(sorted(samples)), natives)
