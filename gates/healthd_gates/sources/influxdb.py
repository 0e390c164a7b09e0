"""Counts and values from InfluxDB, by InfluxQL, which all its versions answer at `/query`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from healthd.model import FailureKind
from healthd.runtime.credential import APIKey
from healthd.runtime.web_address import ShownMasked
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.contract import Arms, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.window_counts import Found
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows, is_number
from healthd_gates.sources.windows_api import Texts, WindowsApi, ask_together
from healthd_gates.sources.windows_source import WindowsSource

_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<=~)\s*/(?:[^/\\]|\\.)*/""")
_INNERMOST = re.compile(r"\([^()]*\)")
_SELECT = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)
_ADDED = re.compile(r"\b(GROUP\s+BY|ORDER\s+BY|LIMIT|OFFSET|SLIMIT|SOFFSET|INTO|TZ|FILL|TIME)\b", re.IGNORECASE)
_COUNTS = re.compile(r"\s*SELECT\s+(?:count|sum)\s*\(", re.IGNORECASE)
_NO_COUNT = re.compile(
    r"\b(\w*(?:derivative|difference|average)|mean|median|mode|min|max|first|last|percentile|spread|stddev|integral)\s*\(",
    re.IGNORECASE,
)
_ONE_STATEMENT = re.compile(r"\b(?:only|single)\b.*\bstatement", re.IGNORECASE)  # what InfluxDB 3 says of several
_NOT_EXECUTED = "not executed"  # what InfluxDB 1 says of several statements in the place of what is wrong with one
_UNMAPPED = ("default retention policy not set", "finding DBRP mappings")  # what InfluxDB 2 says of a bucket
_NO_DATABASE = ("database not found", "retention policy not found", *_UNMAPPED)
_CURE = (
    "; InfluxQL finds a bucket by its mapping: influx v1 dbrp create --default --db NAME --rp autogen --bucket-id ID"
)
_FUNCTION = re.compile(r"\w\s*\(")


class InfluxDBConfig(HttpWindowsConfig):
    """InfluxQL queries of one number each, without clauses of time: `SELECT count("took") FROM "requests" WHERE
    "version" = '$version'`.
    """

    silence_hint: ClassVar[str] = (
        "is a measurement, field or tag misspelt, or a text in double quotes? Texts stand in single ones"
    )

    keys: ClassVar[tuple[str, ...]] = ("token", *HttpWindowsConfig.keys)
    asks_between: ClassVar[bool] = True

    kind: Literal["influxdb"]
    url: Annotated[
        str,
        Field(
            pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
        ),
        ShownMasked(),
    ]
    """Address of the server."""
    database: str = Field(min_length=1)
    """The database; of InfluxDB 2 the bucket."""
    token: APIKey | None = None
    """A token of InfluxDB 2 or 3; InfluxDB 1 has a name and a password, `basic`."""
    delay: Duration = 30.0
    """Time after its end from which a window's numbers no longer change."""

    def check_text(self, text: str) -> None:
        self.check_value(text)
        plain = _blank(text)
        if not _COUNTS.match(plain):
            raise ValueError("counts nothing: begin with SELECT count(…) or SELECT sum(…)")
        if (found := _NO_COUNT.search(plain)) is not None:
            raise ValueError(
                f"{found[1]}() gives no count: use count() of events, or sum() of what each interval counted"
            )

    def check_value(self, text: str) -> None:
        plain = _blank(text)
        outside = _outermost(plain)
        if not _SELECT.match(plain):
            raise ValueError(f"{text[:60]!r} is no InfluxQL query: it begins with SELECT")
        if ";" in plain or "--" in plain or "/*" in plain:
            raise ValueError("must be one query, without a comment")
        if (clause := _ADDED.search(outside)) is not None:
            raise ValueError(f"leave {clause[1].upper()} out: healthd asks for windows of its own, of one series")
        if "(" in outside or ")" in outside:
            raise ValueError("has parentheses without their counterpart")
        if not _FUNCTION.search(plain):
            raise ValueError("a window needs a function of its points, such as mean(…)")
        if "$" in plain.replace("$le", ""):
            raise ValueError("a placeholder must stand in a quoted text: \"version\" = '$version'")
        for literal in _LITERAL.finditer(text):
            if literal[0].lstrip().startswith("/") and "$" in re.sub(r"\$(?=/)", "", literal[0]):
                raise ValueError("a placeholder may not stand in a pattern: compare with = '$version'")


class InfluxDB(WindowsSource):
    """One gate's reader of InfluxDB."""

    config_model: ClassVar[type[SourceConfig]] = InfluxDBConfig

    def __init__(self, config: InfluxDBConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        token = {} if config.token is None else {"Authorization": SecretStr(f"Token {config.token.get_secret_value()}")}
        self._endpoint = Endpoint(config.model_copy(update={"headers": {**config.headers, **token}}), context.redact)
        self._api = WindowsApi("InfluxDB", self._endpoint, context.clock, problem_of=_problem)
        self._url, self._database = f"{config.url.rstrip('/')}/query", config.database
        self._takes_one = False  # statement a call, as InfluxDB 3 does

    async def ask(self, queries: Sequence[Query], span: Span) -> Found:
        async with self._endpoint.one_look():
            texts = {query: _within(query.text, span) for query in queries}
            if not self._takes_one:
                try:
                    return await ask_together(texts, lambda call: self._ask(call, span))
                except SourceUnavailable as refused:
                    self._takes_one = _ONE_STATEMENT.search(str(refused)) is not None
                    if not self._takes_one and _NOT_EXECUTED not in str(refused):
                        raise
            return await ask_together(texts, lambda call: self._ask(call, span), 0)

    async def close(self) -> None:
        await self._endpoint.close()

    async def _ask(self, texts: Texts, span: Span) -> Found:
        """Return the windows of each statement of a call."""
        params = {"db": self._database, "q": "; ".join(texts.values()), "epoch": "s"}
        document = await self._api.call(self._url, params)
        try:
            results = document["results"]
            errors = [result["error"] for result in results if result.get("error") is not None]
            found = {} if errors else dict(zip(texts, results, strict=True))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer that is no query's") from None
        for error in errors:
            lasts = str(error).startswith(_NO_DATABASE)
            kind = FailureKind.MISCONFIGURED if lasts else FailureKind.UNEXPECTED_RESPONSE
            cure = _CURE if str(error).startswith(_UNMAPPED) else ""
            raise self._api.unavailable(kind, f"{error}{cure}")
        return {query: self._windows_of(result, span) for query, result in found.items()}

    def _windows_of(self, result: Any, span: Span) -> Windows:
        try:
            series, partial = result.get("series", []), result.get("partial")
            if len(series) == 1:
                rows, columns = series[0]["values"], series[0]["columns"]
                partial = partial or series[0].get("partial")
                found = {int(row[0]): row[1] for row in rows}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer that is no query's") from None
        if partial:
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "a part is missing: the answer is cut off")
        if not series:
            return {}
        if len(series) > 1 or len(columns) != 2:
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "a query gives several numbers: select one")
        return {start: float(value) for start, value in found.items() if is_number(value) and start in set(span)}


def _blank(text: str) -> str:
    """Return a text of the same length with nothing in its strings, names and patterns."""
    return _LITERAL.sub(lambda found: found[0][0] + "_" * (len(found[0]) - 2) + found[0][-1], text)


def _outermost(plain: str) -> str:
    """Return a text of the same length without what stands in parentheses."""
    while (shorter := _INNERMOST.sub(lambda found: " " * len(found[0]), plain)) != plain:
        plain = shorter
    return plain


def _within(text: str, span: Span) -> str:
    """Return a query of the windows of a span. Its own conditions come first, as one, whatever OR is in them."""
    where = _WHERE.search(_outermost(_blank(text)))
    head, condition = (text, "") if where is None else (text[: where.start()], f"({text[where.end() :].strip()}) AND ")
    times = f"time >= {span.start}s AND time < {span.end}s GROUP BY time({span.window}s) fill(none)"
    return f"{head.rstrip()} WHERE {condition}{times}"


def _problem(document: Any) -> str | None:
    found = document.get("error") or document.get("message") if isinstance(document, dict) else None
    return str(found) if found else None
