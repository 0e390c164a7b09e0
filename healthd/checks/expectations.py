"""Expectations of an HTTP answer: status, headers, body. Pure; the messages name the expectation and never repeat
a text of the answer, which may echo a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from multidict import CIMultiDictProxy
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from healthd.checks.http_client import Answer
from healthd.checks.json_expectation import Expectation, Failure, JSONExpectation, Regex
from healthd.model import FailureKind
from healthd.runtime.patterns import PatternTooSlowError, is_found
from healthd.units import Duration, show_duration
from healthd.wording import shape

_STATUS = re.compile(r"(?P<first>[1-5]\d\d)(?:-(?P<last>[1-5]\d\d))?|(?P<hundred>[1-5])xx")
_BY_STATUS = {401: FailureKind.AUTH, 403: FailureKind.PERMISSION, 429: FailureKind.RATE_LIMITED}


def _statuses(value: Any) -> Any:
    """`200`, `2xx`, `200-299`, or a list of them → texts."""
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        if not _STATUS.fullmatch(str(item)):
            raise ValueError(f"{item!r} is not a status: write 200, 2xx, 200-299 or a list of them")
    return tuple(map(str, items))


_STATUS_SCHEMA = {"type": ["string", "integer"], "examples": [200, "2xx", "200-299"]}
Statuses = Annotated[
    tuple[str, ...],
    BeforeValidator(_statuses),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_STATUS_SCHEMA, {"type": "array", "items": _STATUS_SCHEMA, "minItems": 1}]}),
]


class HeaderExpectation(Expectation):
    """Expectation of one header of the answer. With a name alone, the header must be present."""

    name: str = Field(pattern=shape(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of a header, such as X-Request-Id"))
    """Name of the header, in upper or lower case."""
    exists: bool = True
    """True if the header must be present, false if it must be absent."""
    equals: str | None = None
    """Exact value."""
    contains: str | None = None
    """Text that the value must contain."""
    matches: Regex | None = None
    """Regular expression that must be found in the value."""
    max_age: Duration | None = None
    """Minimum of the `max-age` directive, as in Strict-Transport-Security."""

    @model_validator(mode="after")
    def _absent_has_no_value(self) -> Self:
        if not self.exists and (self.equals or self.contains or self.matches or self.max_age):
            raise ValueError("a header that must not exist has no value to expect")
        return self

    def failure(self, headers: CIMultiDictProxy[str]) -> Failure | None:
        values = headers.getall(self.name, [])
        value = values[0] if values else None
        if value is None or not self.exists:
            missing = (value is None) == self.exists
            wrong = f"header {self.name} is {'missing' if self.exists else 'there and should not be'}"
            return (FailureKind.UNEXPECTED_RESPONSE, wrong) if missing else None
        # If a header is repeated, any one may match, and so may their joined list (RFC 9110, 5.3).
        if not any(_text_fits(text, self.equals, self.contains, self.matches) for text in (*values, ", ".join(values))):
            return FailureKind.UNEXPECTED_RESPONSE, f"header {self.name} is not as expected"
        return self._too_short(value) if self.max_age is not None else None

    def _too_short(self, value: str) -> Failure | None:
        """Check the `max-age` directive, as in Strict-Transport-Security (RFC 6797, 6.1.1) and Cache-Control."""
        found = re.search(r"(?:^|[;,\s])max-age\s*=\s*\"?(\d{1,18})\"?\s*(?:$|[;,])", value, re.IGNORECASE)
        if found is None:
            return FailureKind.UNEXPECTED_RESPONSE, f"header {self.name} has no max-age"
        seconds = float(found[1])
        if self.max_age is None or seconds >= self.max_age:
            return None
        short = f"max-age of header {self.name} is {show_duration(seconds)}, less than {show_duration(self.max_age)}"
        return FailureKind.THRESHOLD, short


class AnswerExpectation(Expectation):
    """All expectations of an answer. `latency` is the response time above which the check is degraded."""

    status: Statuses = ("2xx",)
    """Expected status: `200`, `2xx`, `200-299`, or a list of them."""
    headers: tuple[HeaderExpectation, ...] = ()
    """Expectations of headers."""
    contains: str | None = None
    """Text that the body must contain."""
    matches: Regex | None = None
    """Regular expression that must be found in the body."""
    json_values: tuple[JSONExpectation, ...] = Field((), alias="json")
    """Expectations of values of a JSON body."""
    latency: Duration | None = None
    """Response time above which the check is degraded."""

    @property
    def has_patterns(self) -> bool:
        """True if judging an answer may take long, as it searches regular expressions."""
        patterns = (self.matches, *(header.matches for header in self.headers), *(v.matches for v in self.json_values))
        return any(pattern is not None for pattern in patterns)

    def failures(self, answer: Answer) -> list[Failure]:
        """Return everything that is wrong with an answer, the most important first; latency is not included."""
        found = []
        try:
            for failure in self._failures(answer):
                found.append(failure)  # noqa: PERF402 - what came before a pattern that is given up counts
        except PatternTooSlowError as error:
            found.append((FailureKind.TIMEOUT, str(error)))
        return found

    def _failures(self, answer: Answer) -> Iterator[Failure]:
        if not has_status(self.status, answer.status):
            kind = _BY_STATUS.get(answer.status, FailureKind.UNEXPECTED_RESPONSE)
            yield kind, f"answered {answer.status}, not {' or '.join(self.status)}"
        for header in self.headers:
            if failure := header.failure(answer.headers):
                yield failure
        if self.contains is not None or self.matches is not None or self.json_values:
            yield from self._body_failures(answer)

    def _body_failures(self, answer: Answer) -> Iterator[Failure]:
        if not answer.whole:
            yield FailureKind.UNEXPECTED_RESPONSE, f"the body is longer than {len(answer.body)} bytes"
            return
        if not _text_fits(answer.text, None, self.contains, self.matches):
            yield FailureKind.UNEXPECTED_RESPONSE, "the body is not as expected"
        if not self.json_values:
            return
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            yield FailureKind.UNEXPECTED_RESPONSE, "the body is not JSON"
            return
        for value in self.json_values:
            if failure := value.failure(document):
                yield failure


def has_status(statuses: Statuses, status: int) -> bool:
    """True if the status is among these."""
    return any(_covers(pattern, status) for pattern in statuses)


def _covers(pattern: str, status: int) -> bool:
    match = _STATUS.fullmatch(pattern)
    assert match is not None
    if match["hundred"]:
        return status // 100 == int(match["hundred"])
    return int(match["first"]) <= status <= int(match["last"] or match["first"])


def _text_fits(text: str, equals: str | None, contains: str | None, matches: str | None) -> bool:
    return (
        (equals is None or text == equals)
        and (contains is None or contains in text)
        and (matches is None or is_found(matches, text))
    )
