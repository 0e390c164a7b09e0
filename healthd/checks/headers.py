"""Security headers, as an item of the checklist before a deployment: an HTTP check that holds the answer to its headers
and lets any status pass."""

from __future__ import annotations

from typing import ClassVar, Literal

from healthd.checks.contract import CheckConfig
from healthd.checks.expectations import AnswerExpectation, HeaderExpectation, Statuses
from healthd.checks.http import Http, RequestConfig
from healthd.units import Duration

_YEAR = 365 * 86400.0
HSTS = HeaderExpectation(name="Strict-Transport-Security", max_age=_YEAR)


class HeadersExpectation(AnswerExpectation):
    """Unless told otherwise: any status, and Strict-Transport-Security for at least a year."""

    status: Statuses = ("100-599",)
    """`200`, `2xx`, `200-299`, or a list of them."""
    headers: tuple[HeaderExpectation, ...] = (HSTS,)
    """What headers must say."""


class HeadersConfig(RequestConfig):
    kind: Literal["headers"] = "headers"
    interval: Duration = 60.0
    timeout: Duration = 5.0
    expect: HeadersExpectation = HeadersExpectation()
    """What the answer must be; a year of HSTS unless given."""


class Headers(Http):
    """The checks of `http`, with expectations of its own."""

    config_model: ClassVar[type[CheckConfig]] = HeadersConfig
