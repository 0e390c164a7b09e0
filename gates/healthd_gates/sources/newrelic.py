"""Counts from New Relic: NRQL by the GraphQL API, NerdGraph, all queries of a look in one call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from healthd.model import FailureKind
from healthd.runtime.credential import APIKey
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.contract import Arms, SourceConfig, SourceContext
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows, is_number
from healthd_gates.sources.windows_api import WindowsApi
from healthd_gates.sources.windows_source import WindowsSource

_MOST_WINDOWS = 366
_HOSTS = {"us": "https://api.newrelic.com/graphql", "eu": "https://api.eu.newrelic.com/graphql"}
_OF_TIME = re.compile(r"\b(SINCE|UNTIL|TIMESERIES|COMPARE\s+WITH|FACET|LIMIT|EXTRAPOLATE)\b", re.IGNORECASE)
_SELECT = re.compile(r"^\s*(?:SELECT|FROM)\b", re.IGNORECASE)
_COUNTS = re.compile(r"\b(?:count|sum|uniqueCount|filter)\s*\(", re.IGNORECASE)
_RATE = re.compile(r"\b(rate|average|percentage|percentile|latest|median)\s*\(", re.IGNORECASE)
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'")
_PARENTHESES = r"\((?:[^()']|'(?:[^'\\]|\\.)*'|\((?:[^()']|'(?:[^'\\]|\\.)*')*\))*\)"
_FUNCTION_OF = re.compile(
    rf"\s*SELECT\s+(?P<function>\w+\s*{_PARENTHESES})\s+(?P<rest>FROM\b.*)", re.IGNORECASE | re.DOTALL
)
_TIMES = frozenset({"beginTimeSeconds", "endTimeSeconds", "inspectedCount"})
_KINDS = {
    "BAD_API_KEY": FailureKind.AUTH,
    "TOO_MANY_REQUESTS": FailureKind.RATE_LIMITED,
    "TIMEOUT": FailureKind.TIMEOUT,
    "UNAUTHORIZED": FailureKind.AUTH,
    "FORBIDDEN": FailureKind.PERMISSION,
    "ACCESS_DENIED": FailureKind.PERMISSION,
}


class NewRelicConfig(HttpWindowsConfig):
    """NRQL queries, each of which counts or measures one number, without clauses of time: `SELECT count(*) FROM
    Transaction WHERE appName = 'shop' AND release = '$version'`.
    """

    keys: ClassVar[tuple[str, ...]] = ("key", *HttpWindowsConfig.keys)

    kind: Literal["newrelic"]
    account: int = Field(ge=1)
    """The number of the account."""
    key: APIKey
    """A user key, `NRAK-…`, of a user who may read the account."""
    region: Literal["us", "eu"] = "us"
    """The data centre of the account."""
    url: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """The address of NerdGraph, if not the region's."""

    delay: Duration = 120.0
    """Time after its end from which a window's numbers no longer change."""

    def check_text(self, text: str) -> None:
        self._check_nrql(text)
        plain = _STRING.sub("''", text)
        if (rate := _RATE.search(plain)) is not None:
            raise ValueError(f"{rate[1]}() gives no count: use count(*), sum() or filter(count(*), WHERE …)")
        if not _COUNTS.search(plain):
            raise ValueError("counts nothing: use count(*), sum() or filter(count(*), WHERE …)")

    def check_value(self, text: str) -> None:
        self._check_nrql(text)

    def _check_nrql(self, text: str) -> None:
        plain = _STRING.sub("''", text)
        if not _SELECT.match(plain):
            raise ValueError(f"{text[:60]!r} is no NRQL query: it begins with SELECT or FROM")
        if (clause := _OF_TIME.search(plain)) is not None:
            raise ValueError(f"leave {clause[1].upper()} out: healthd asks for windows of its own, of one series")
        if "$" in plain.replace("$le", ""):
            raise ValueError("a placeholder must stand in a quoted text: release = '$version'")


class NewRelic(WindowsSource):
    """One gate's reader of New Relic."""

    config_model: ClassVar[type[SourceConfig]] = NewRelicConfig

    def __init__(self, config: NewRelicConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        headers = {**config.headers, "API-Key": config.key}
        self._endpoint = Endpoint(config.model_copy(update={"headers": headers}), context.redact)
        self._api = WindowsApi("New Relic", self._endpoint, context.clock, problem_of=_problem)
        self._url, self._account, self._timeout = config.url or _HOSTS[config.region], config.account, config.timeout

    async def ask(self, queries: Sequence[Query], span: Span) -> Mapping[Query, Windows]:
        start = max(span.start, span.end - _MOST_WINDOWS * span.window)
        times = f"SINCE {start * 1000} UNTIL {span.end * 1000} TIMESERIES {span.window} seconds"
        asked = {f"q{number}": group for number, group in enumerate(_selected_together(queries))}
        seconds = max(1, int(self._timeout))
        variables = {"account": self._account, **{name: f"{_nrql(group)} {times}" for name, group in asked.items()}}
        calls = " ".join(f"{name}: nrql(query: ${name}, timeout: {seconds}) {{ results }}" for name in asked)
        typed = ", ".join(["$account: Int!", *(f"${name}: Nrql!" for name in asked)])
        query = f"query({typed}) {{ actor {{ account(id: $account) {{ {calls} }} }} }}"
        document = await self._api.call(self._url, body={"query": query, "variables": variables})
        account = self._checked(document)
        found = dict[Query, Windows]()
        for name, group in asked.items():
            for place, each in enumerate(group):
                found[each] = self._windows_of(account.get(name), span, _column(place) if len(group) > 1 else None)
        return found

    async def close(self) -> None:
        await self._endpoint.close()

    def _checked(self, document: Any) -> Mapping[str, Any]:
        """Return what the account says. A part that failed makes the whole unusable: its numbers would lack."""
        if errors := _errors(document):
            kind = FailureKind.UNEXPECTED_RESPONSE
            for error in errors:
                extensions = error.get("extensions")
                names = extensions if isinstance(extensions, dict) else {}
                kind = _KINDS.get(str(names.get("error_code")), _KINDS.get(str(names.get("errorClass")), kind))
            if kind is FailureKind.RATE_LIMITED:
                raise self._api.limited(None)
            raise self._api.unavailable(kind, _problem(document) or "the query failed")
        try:
            account = document["data"]["actor"]["account"]
        except (KeyError, TypeError):
            account = None
        if not isinstance(account, dict):
            raise self._api.unavailable(FailureKind.PERMISSION, "the key sees no such account")
        return account

    def _windows_of(self, answer: Any, span: Span, column: str | None) -> Windows:
        """Return the numbers of a column, or of the only one."""
        rows = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer without results")
        found: dict[int, float] = {}
        for row in rows:
            begin, end = row.get("beginTimeSeconds"), row.get("endTimeSeconds")
            if not isinstance(begin, int | float) or not isinstance(end, int | float) or end - begin != span.window:
                text = f"windows of another length than {span.window} s: use a longer `window`"
                raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)
            numbers = [value for name, value in row.items() if name not in _TIMES and column in (None, name)]
            if len(numbers) != 1:
                text = f"a query gives {len(numbers)} numbers: select one"
                raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)
            value = next(iter(numbers[0].values()), None) if isinstance(numbers[0], dict) else numbers[0]
            if is_number(value):
                found[int(begin)] = float(value)
        return found


def _selected_together(queries: Sequence[Query]) -> list[list[Query]]:
    """Return the queries with those together that select, each one function, from the same: one reading counts them."""
    groups: dict[str, list[Query]] = {}
    for query in queries:
        parts = _FUNCTION_OF.fullmatch(query.text)
        groups.setdefault(parts["rest"] if parts is not None else query.text, []).append(query)
    return list(groups.values())


def _nrql(group: Sequence[Query]) -> str:
    if len(group) == 1:
        return group[0].text
    parts = [found for query in group if (found := _FUNCTION_OF.fullmatch(query.text)) is not None]
    selected = ", ".join(f"{part['function']} AS '{_column(place)}'" for place, part in enumerate(parts))
    return f"SELECT {selected} {parts[0]['rest']}"


def _column(place: int) -> str:
    return f"n{place}"


def _errors(document: Any) -> list[dict[str, Any]]:
    """Return the errors, without notes on fields that will go."""
    errors = document.get("errors") if isinstance(document, dict) else None
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return [error for error in found if not str(error.get("message")).startswith("This field is deprecated!")]


def _problem(document: Any) -> str | None:
    texts = [str(error.get("message") or error.get("title")) for error in _errors(document)]
    return "; ".join(dict.fromkeys(texts)) or None
