"""The band of a number that a query found."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.sql import SQLConfig, judge
from healthd.model import FailureKind, Measure, Status

_BASE = {"kind": "sql", "uri": "postgresql://localhost/x", "query": "SELECT 1"}
_BAND = {"degraded": {"above": 10, "below": 1}, "unhealthy": {"above": 100}}


@pytest.mark.parametrize(
    ("rows", "status", "kind", "message"),
    [
        ([(10,)], Status.HEALTHY, None, "10"),
        ([(Decimal("10.5"),)], Status.DEGRADED, FailureKind.THRESHOLD, "10.5 is above 10"),
        ([(0,)], Status.DEGRADED, FailureKind.THRESHOLD, "0 is below 1"),
        ([(100.5, 3), (1,)], Status.UNHEALTHY, FailureKind.THRESHOLD, "100.5 is above 100"),
        ([(timedelta(minutes=2),)], Status.UNHEALTHY, FailureKind.THRESHOLD, "120 is above 100"),
        ([(True,)], Status.HEALTHY, None, "1"),
        ([], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the query found no row"),
        ([()], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the query found NULL, which is no number"),
        ([(None,)], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the query found NULL, which is no number"),
        ([(float("nan"),)], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the query found a value of type float"),
        ([("12",)], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the query found a value of type str"),
        ([(datetime.now(UTC),)], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the query found a value of type"),
    ],
)
def test_what_a_row_means(rows: list[Any], status: Status, kind: FailureKind | None, message: str) -> None:
    """Green is a number within the bounds alone: where nothing was measured, nothing is well."""
    result = judge(rows, SQLConfig.model_validate({**_BASE, **_BAND}))
    assert (result.status, result.kind) == (status, kind)
    assert result.message.startswith(message)
    if kind is not FailureKind.UNEXPECTED_RESPONSE:
        assert result.measures == (Measure("value", result.observed["value"]),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "write degraded or unhealthy"),
        ({"degraded": {}}, "write above, below, or both"),
        ({"degraded": {"above": 1, "below": 2}}, "below must not be higher than above"),
        ({"degraded": {"above": float("inf")}}, "finite"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SQLConfig.model_validate({**_BASE, **options})
