"""CloudWatch's metrics and alarms. `cloudwatch.py` and `cloudwatch_metrics.py` interpret them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from healthd.aws.client import new_client
from healthd.checks.failures import classify, describe, explain_late
from healthd.model import FailureKind
from healthd_gates.sources.contract import SourceUnavailable

T = TypeVar("T")
MINUTE = 60
_KINDS = {
    "AccessDenied": FailureKind.PERMISSION,
    "AccessDeniedException": FailureKind.PERMISSION,
    "UnauthorizedOperation": FailureKind.PERMISSION,
    "ExpiredToken": FailureKind.AUTH,
    "ExpiredTokenException": FailureKind.AUTH,
    "InvalidClientTokenId": FailureKind.AUTH,
    "SignatureDoesNotMatch": FailureKind.AUTH,
    "UnrecognizedClientException": FailureKind.AUTH,
    "Throttling": FailureKind.RATE_LIMITED,
    "ThrottlingException": FailureKind.RATE_LIMITED,
}
_BY_EXCEPTION = {
    "NoCredentialsError": FailureKind.AUTH,
    "NoRegionError": FailureKind.MISCONFIGURED,
    "EndpointConnectionError": FailureKind.CONNECT,
    "ConnectTimeoutError": FailureKind.TIMEOUT,
    "ReadTimeoutError": FailureKind.TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name and the statistic of it, such as `Sum` or `TC(:0.5)`."""

    name: str
    statistic: str


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of one namespace and set of dimensions."""

    namespace: str
    metric: Metric
    dimensions: Mapping[str, str]


Minutes = Mapping[int, Mapping[Metric, float]]
"""Metrics by the start of the minute, in seconds since 1970. Values that were not reported are missing."""


class CloudWatch:
    """CloudWatch in one region, through the SDK, which is loaded when first needed. Raises SourceUnavailable."""

    def __init__(self, region: str | None, endpoint: str | None, timeout: float, redact: Callable[[str], str]) -> None:
        self._region, self._endpoint, self._timeout, self._redact = region, endpoint, timeout, redact
        self._open = AsyncExitStack()
        self._client: Any = None

    async def minutes(self, dimensions: Mapping[str, str], metrics: Sequence[Metric], start: int, end: int) -> Minutes:
        """Return the metrics of the minutes that begin from `start` up to, but without, `end`."""
        ids = {f"m{number}": metric for number, metric in enumerate(metrics)}
        asked = {key: Series("AWS/ApplicationELB", metric, dimensions) for key, metric in ids.items()}
        minutes: dict[int, dict[Metric, float]] = {}
        for key, values in (await self.series(asked, MINUTE, start, end)).items():
            for minute, value in values.items():
                minutes.setdefault(minute, {})[ids[key]] = value
        return minutes

    async def series(
        self, asked: Mapping[str, Series], period: int, start: int, end: int
    ) -> dict[str, dict[int, float]]:
        """Return the numbers of every `period` seconds that begin from `start` up to, but without, `end`."""
        return await self._within(self._ask(asked, period, start, end))

    async def alarms(self, names: Sequence[str]) -> dict[str, str]:
        """Return the states of alarms: OK, ALARM or INSUFFICIENT_DATA."""
        return await self._within(self._ask_alarms(names))

    async def _within(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except TimeoutError as error:
            late = explain_late(f"CloudWatch did not answer within {self._timeout:g} s")
            raise SourceUnavailable(*late, unasked=True) from error
        except SourceUnavailable:
            raise
        except Exception as error:  # the SDK raises many kinds, most of them its own
            told = self._redact(f"CloudWatch: {describe(error)}")
            raise SourceUnavailable(_kind(error), told, unasked=True) from error

    async def close(self) -> None:
        self._client = None
        await self._open.aclose()

    async def _ask(self, asked: Mapping[str, Series], period: int, start: int, end: int) -> dict[str, dict[int, float]]:
        client = await self._connected()
        query = {
            "MetricDataQueries": [_query(key, series, period) for key, series in asked.items()],
            "StartTime": datetime.fromtimestamp(start, UTC),
            "EndTime": datetime.fromtimestamp(end, UTC),
            "ScanBy": "TimestampAscending",
        }
        found: dict[str, dict[int, float]] = {key: {} for key in asked}
        async for page in client.get_paginator("get_metric_data").paginate(**query):
            for result in page["MetricDataResults"]:
                if result.get("StatusCode") not in ("Complete", "PartialData"):  # partial: the rest is on the next page
                    name = asked[result["Id"]].metric.name
                    text = f"CloudWatch could not give {name}: {result.get('StatusCode')}"
                    raise SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, text, unasked=True)
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    if start <= (begin := int(at.timestamp())) < end:
                        found[result["Id"]][begin] = float(value)
        return found

    async def _ask_alarms(self, names: Sequence[str]) -> dict[str, str]:
        client = await self._connected()
        kinds = ["MetricAlarm", "CompositeAlarm"]
        found: dict[str, str] = {}
        async for page in client.get_paginator("describe_alarms").paginate(AlarmNames=list(names), AlarmTypes=kinds):
            alarms = (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
            found |= {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
        return found

    async def _connected(self) -> Any:
        if self._client is None:
            client = new_client("cloudwatch", region=self._region, endpoint=self._endpoint, timeout=self._timeout)
            self._client = await self._open.enter_async_context(client)
        return self._client


def _query(key: str, series: Series, period: int) -> dict[str, Any]:
    named = {
        "Namespace": series.namespace,
        "MetricName": series.metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions.items()],
    }
    return {"Id": key, "MetricStat": {"Metric": named, "Period": period, "Stat": series.metric.statistic}}


def _kind(error: Exception) -> FailureKind:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    if code is not None:
        return _KINDS.get(code, FailureKind.UNEXPECTED_RESPONSE)
    return _BY_EXCEPTION.get(type(error).__name__) or classify(error)
