"""Counts of log lines from Loki, by LogQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from healthd.model import FailureKind
from healthd.runtime.web_address import ShownMasked
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.contract import Arm, Arms, SourceConfig, SourceContext
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.promql import Expression
from healthd_gates.sources.window_counts import Found
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows
from healthd_gates.sources.windows_api import Texts, WindowsApi, ask_together
from healthd_gates.sources.windows_source import WindowsSource

_SELECTOR = re.compile(r"^\s*\{")
_NAME = "healthd_query"


class LokiConfig(HttpWindowsConfig):
    """Lines that LogQL selects, such as `{app="shop",version="$version"} | json | status >= 500`: healthd counts them.
    A `value` is a metric query whose range is `[$window]`.
    """

    asks_between: ClassVar[bool] = True

    kind: Literal["loki"]
    url: Annotated[
        str,
        Field(
            pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
        ),
        ShownMasked(),
    ]
    """Base address, without `/loki/api/v1`."""
    tenant: str | None = Field(None, pattern=r"^[!-~]+$")
    """The tenant, where Loki has several: sent as `X-Scope-OrgID`."""

    delay: Duration = 30.0
    """Time after its end from which a window's numbers no longer change."""

    def check_text(self, text: str) -> None:
        if not _SELECTOR.match(text):
            raise ValueError(
                f'{text[:80]!r} does not begin with a stream selector: write {{app="shop"}} | json | status >= 500,'
                " which healthd counts; a rate is no count"
            )
        Expression.parse(text.replace("$le", "1"))

    def check_value(self, text: str) -> None:
        if "[$window]" not in text:
            raise ValueError(
                f"{text[:80]!r} is no metric query over [$window]: write avg_over_time({{…}} | unwrap took [$window])"
            )
        Expression.parse(text.replace("$window", "1m"))

    def fill(self, text: str, name: str, arm: Arm) -> str:
        return Expression(text.replace("$window", f"{int(self.window)}s")).fill(name, arm)

    def depends_on_arm(self, text: str) -> bool:
        return super().depends_on_arm(text.replace("$window", ""))


class Loki(WindowsSource):
    """One gate's reader of Loki."""

    config_model: ClassVar[type[SourceConfig]] = LokiConfig

    def __init__(self, config: LokiConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        tenant = {} if config.tenant is None else {"X-Scope-OrgID": SecretStr(config.tenant)}
        self._endpoint = Endpoint(config.model_copy(update={"headers": {**config.headers, **tenant}}), context.redact)
        self._api = WindowsApi("Loki", self._endpoint, context.clock, problem_of=_problem)
        self._url = f"{config.url.rstrip('/')}/loki/api/v1/query_range"

    async def ask(self, queries: Sequence[Query], span: Span) -> Found:
        names = {query: f"q{place}" for place, query in enumerate(queries)}
        texts = {query: _named(query, name, span) for query, name in names.items()}
        async with self._endpoint.one_look():
            return await ask_together(texts, lambda call: self._ask(call, names, span))

    async def close(self) -> None:
        await self._endpoint.close()

    async def _ask(self, texts: Texts, names: Mapping[Query, str], span: Span) -> Found:
        """Return the windows. A range ends at the time of its sample: a window's number is at its end."""
        params = {
            "query": " or ".join(texts.values()),
            "start": f"{(span.start + span.window) * 10**9}",
            "end": f"{span.end * 10**9}",
            "step": f"{span.window}s",
        }
        document = await self._api.call(self._url, params)
        try:
            status, data = document["status"], document["data"]
            kind, result = data["resultType"], data["result"]
        except (KeyError, TypeError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer without a result") from None
        if status != "success" or kind != "matrix":
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, f"the answer is {status}, of type {kind}")
        found: dict[str, Windows] = {}
        for series in result:
            name = series["metric"].get(_NAME, "")
            if name in found:
                raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "a query gives several series: add sum()")
            found[name] = _windows_of(series["values"], span)
        return {query: found.get(names[query], {}) for query in texts}


def _named(query: Query, name: str, span: Span) -> str:
    """Return what is asked, with a label that tells its series from the others' in one answer."""
    text = f"sum(count_over_time({query.text} [{span.window}s]))" if query.counts else query.text
    return f'label_replace({text}, "{_NAME}", "{name}", "", "")'


def _windows_of(values: Sequence[Sequence[Any]], span: Span) -> Windows:
    windows: dict[int, float] = {}
    for at, text in values:
        start = round(float(at)) - span.window
        value = float(text)
        if isfinite(value) and start in range(span.start, span.end, span.window):
            windows[start] = value
    return windows


def _problem(document: Any) -> str | None:
    if isinstance(document, dict):
        found = document.get("message") or document.get("error")
        return str(found) if found else None
    return None
