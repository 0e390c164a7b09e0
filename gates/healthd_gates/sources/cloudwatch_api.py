"""CloudWatch's metrics of one target group of an Application Load Balancer, minute by minute. `cloudwatch.py`
interprets them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthd.aws.client import new_client
from healthd.checks.failures import classify, describe
from healthd.model import FailureKind
from healthd_gates.sources.contract import SourceUnavailable

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
    """One number a minute: a metric's name and the statistic of it, such as `Sum` or `TC(:0.5)`."""

    name: str
    statistic: str


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
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(dimensions, metrics, start, end)
        except TimeoutError as error:
            message = f"CloudWatch did not answer within {self._timeout:g} s"
            raise SourceUnavailable(FailureKind.TIMEOUT, message) from error
        except SourceUnavailable:
            raise
        except Exception as error:  # the SDK raises many kinds, most of them its own
            raise SourceUnavailable(_kind(error), self._redact(f"CloudWatch: {describe(error)}")) from error

    async def close(self) -> None:
        self._client = None
        await self._open.aclose()

    async def _ask(self, dimensions: Mapping[str, str], metrics: Sequence[Metric], start: int, end: int) -> Minutes:
        client = await self._connected()
        ids = {f"m{number}": metric for number, metric in enumerate(metrics)}
        query = {
            "MetricDataQueries": [_query(key, metric, dimensions) for key, metric in ids.items()],
            "StartTime": datetime.fromtimestamp(start, UTC),
            "EndTime": datetime.fromtimestamp(end, UTC),
            "ScanBy": "TimestampAscending",
        }
        minutes: dict[int, dict[Metric, float]] = {}
        async for page in client.get_paginator("get_metric_data").paginate(**query):
            for result in page["MetricDataResults"]:
                if result.get("StatusCode") not in ("Complete", "PartialData"):  # partial: the rest is on the next page
                    text = f"CloudWatch could not give {ids[result['Id']].name}: {result.get('StatusCode')}"
                    raise SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, text)
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    if start <= (minute := int(at.timestamp())) < end:
                        minutes.setdefault(minute, {})[ids[result["Id"]]] = float(value)
        return minutes

    async def _connected(self) -> Any:
        if self._client is None:
            client = new_client("cloudwatch", region=self._region, endpoint=self._endpoint, timeout=self._timeout)
            self._client = await self._open.enter_async_context(client)
        return self._client


def _query(key: str, metric: Metric, dimensions: Mapping[str, str]) -> dict[str, Any]:
    named = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
    }
    return {"Id": key, "MetricStat": {"Metric": named, "Period": MINUTE, "Stat": metric.statistic}}


def _kind(error: Exception) -> FailureKind:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    if code is not None:
        return _KINDS.get(code, FailureKind.UNEXPECTED_RESPONSE)
    return _BY_EXCEPTION.get(type(error).__name__) or classify(error)
