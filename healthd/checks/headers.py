"""Security headers, as an item of the checklist before a deployment: an HTTP check with expectations of headers that
accepts any status."""

from __future__ import annotations

from typing import ClassVar, Literal

from healthd.checks.contract import CheckConfig
from healthd.checks.expectations import AnswerExpectation, HeaderExpectation, Statuses
from healthd.checks.http import Http, RequestConfig
from healthd.units import Duration

_YEAR = 365 * 86400.0
HSTS = HeaderExpectation(name="Strict-Transport-Security", max_age=_YEAR)


class HeadersExpectation(AnswerExpectation):
    """Defaults: any status, and Strict-Transport-Security for at least a year."""

    status: Statuses = ("100-599",)
    """Expected status: `200`, `2xx`, `200-299`, or a list of them."""
    headers: tuple[HeaderExpectation, ...] = (HSTS,)
    """Expectations of headers."""


class HeadersConfig(RequestConfig):
    kind: Literal["headers"] = "headers"
    interval: Duration = 60.0
    timeout: Duration = 5.0
    expect: HeadersExpectation = HeadersExpectation()
    """Expectations of the answer; a year of HSTS by default."""


class Headers(Http):
    """Same probe as `http`, with other default expectations."""

    config_model: ClassVar[type[CheckConfig]] = HeadersConfig
