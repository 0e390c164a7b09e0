"""New issues and sessions of a release from Sentry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator
from yarl import URL

from healthd.http.retry_after import seconds_to_wait
from healthd.model import FailureKind
from healthd.runtime.credential import APIKey
from healthd.runtime.web_address import ShownMasked
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.contract import Arms, Series, SourceConfig, SourceContext
from healthd_gates.sources.endpoint import Endpoint, all_of
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows
from healthd_gates.sources.windows_api import WindowsApi
from healthd_gates.sources.windows_source import WindowsSource

_ASKED = re.compile(r"\s*(?P<what>new_issues|sessions|crashed_sessions)(?:\s+(?P<search>\S.*?))?\s*", re.DOTALL)
_NEXT = re.compile(r'rel="next";\s*results="true";\s*cursor="(?P<cursor>[^"]+)"')
_PAGES, _PAGE = 10, 100
_SESSIONS = "sum(session)"


class SentryConfig(HttpWindowsConfig):
    """Counts of `new_issues`, `sessions` or `crashed_sessions`, each with a search of Sentry's, such as `new_issues
    firstRelease:shop@$version`.
    """

    keys: ClassVar[tuple[str, ...]] = ("token", *HttpWindowsConfig.keys)
    resolution: ClassVar[int] = 60
    has_values: ClassVar[bool] = False

    kind: Literal["sentry"]
    organization: str = Field(pattern=shape(r"^[A-Za-z0-9_-]+$", "the slug of the organization, as in its address"))
    """The slug of the organization."""
    token: APIKey
    """A token of an internal integration, with the scopes `org:read` and `event:read`."""
    projects: tuple[int, ...] = ()
    """The numbers of the projects; all that the token may see unless given."""
    environment: str | None = None
    """Sentry's environment; all unless given."""
    url: Annotated[
        str,
        Field(pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a path")),
        ShownMasked(),
    ] = "https://sentry.io"
    """Address of Sentry, if not https://sentry.io: https://de.sentry.io, or one of your own."""

    delay: Duration = 120.0
    """Time after its end from which a window's numbers no longer change."""

    @model_validator(mode="after")
    def _has_no_latency(self) -> Self:
        if self.latency is not None:
            raise ValueError("latency: Sentry's sessions have no durations: judge latency by another source")
        return self

    @model_validator(mode="after")
    def _errors_are_among_requests(self) -> Self:
        _check_share("errors", self.requests, self.errors)
        return self

    def check_series(self, series: Series) -> None:
        super().check_series(series)
        if series.shape == "counts":
            part = "bad" if "bad" in series.parts else "good"
            _check_share(part, series.parts["of"], series.parts[part])

    def check_text(self, text: str) -> None:
        if not _ASKED.fullmatch(text):
            raise ValueError(
                f"{text[:80]!r} counts nothing: write new_issues, sessions or crashed_sessions and a search, as in"
                " new_issues firstRelease:shop@$version"
            )


def _check_share(name: str, whole: str | None, part: str | None) -> None:
    """Check that what a part counts is among what the whole counts. Raises ValueError."""
    kinds = [match["what"] for text in (whole, part) if text is not None and (match := _ASKED.fullmatch(text))]
    if len(kinds) == 2 and (kinds[0] == "new_issues") != (kinds[1] == "new_issues"):
        raise ValueError(
            f"{name}: issues are no part of sessions, so that there is no share of them: write crashed_sessions of"
            " sessions, and judge new_issues by a criterion of kind rate"
        )


class Sentry(WindowsSource):
    """One gate's reader of Sentry."""

    config_model: ClassVar[type[SourceConfig]] = SentryConfig

    def __init__(self, config: SentryConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        token = {"Authorization": SecretStr(f"Bearer {config.token.get_secret_value()}")}
        self._endpoint = Endpoint(config.model_copy(update={"headers": {**config.headers, **token}}), context.redact)
        self._api = WindowsApi("Sentry", self._endpoint, context.clock, _pause, _problem)
        self._base = URL(config.url) / "api/0/organizations" / config.organization
        self._chosen = [("project", str(number)) for number in config.projects]
        self._chosen += [("environment", config.environment)] if config.environment is not None else []

    async def ask(self, queries: Sequence[Query], span: Span) -> Mapping[Query, Windows]:
        asked = {query: match for query in queries if (match := _ASKED.fullmatch(query.text)) is not None}
        searches = {match["search"] or "" for match in asked.values() if match["what"] != "new_issues"}
        async with self._endpoint.one_look():
            sessions = await all_of({search: self._sessions(search, span) for search in searches})
            issues = {query: match["search"] or "" for query, match in asked.items() if match["what"] == "new_issues"}
            found = await all_of({query: self._issues(search, span) for query, search in issues.items()})
        for query, match in asked.items():
            if match["what"] != "new_issues":
                every, crashed = sessions[match["search"] or ""]
                found[query] = every if match["what"] == "sessions" else crashed
        return found

    async def close(self) -> None:
        await self._endpoint.close()

    async def _issues(self, search: str, span: Span) -> Windows:
        """Return how many issues were seen for the first time in each window, the newest first by page."""
        found: dict[int, float] = {}
        query = [("query", search), ("sort", "new"), ("limit", str(_PAGE)), *self._chosen]
        cursor: list[tuple[str, str]] = []
        for _ in range(_PAGES):
            url = str((self._base / "issues/").with_query([*query, *cursor]))
            issues, headers = await self._api.call(url, with_headers=True)
            try:
                seen = [_seconds(issue["firstSeen"]) for issue in issues]
            except (KeyError, TypeError, ValueError):
                raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer that is no issues") from None
            for at in seen:
                start = span.start + int((at - span.start) // span.window) * span.window
                if span.start <= start < span.end:
                    found[start] = found.get(start, 0.0) + 1
            more = _NEXT.search(headers.get("Link", ""))
            if more is None or (seen and min(seen) < span.start):
                return found
            cursor = [("cursor", more["cursor"])]
        text = f"more than {_PAGES * _PAGE} new issues: they cannot be counted"
        raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)

    async def _sessions(self, search: str, span: Span) -> tuple[Windows, Windows]:
        """Return all sessions of each window, and those that crashed."""
        query = [("field", _SESSIONS), ("groupBy", "session.status"), ("interval", f"{span.window // 60}m")]
        query += [("query", search), ("start", _text(span.start)), ("end", _text(span.end)), *self._chosen]
        document = await self._api.call(str((self._base / "sessions/").with_query(query)))
        try:
            starts = [round(_seconds(each)) for each in document["intervals"]]
            series = [(group["by"]["session.status"], group["series"][_SESSIONS]) for group in document["groups"]]
            pairs = [(status, list(zip(starts, counts, strict=True))) for status, counts in series]
        except (KeyError, TypeError, ValueError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer that is no sessions") from None
        if any(later - start != span.window for start, later in pairwise(starts)) or not set(span) <= set(starts):
            text = f"it does not count sessions by {span.window} s here: use a longer `window`, such as 1h"
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)
        every: dict[int, float] = {}
        crashed: dict[int, float] = {}
        for status, start, count in ((status, *pair) for status, counts in pairs for pair in counts):
            if start in set(span):
                every[start] = every.get(start, 0.0) + count
                crashed[start] = crashed.get(start, 0.0) + (count if status == "crashed" else 0)
        return every, crashed


def _seconds(text: str) -> float:
    """Return a time in seconds since 1970. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _pause(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the limit begins anew, which Sentry gives in seconds since 1970."""
    text = headers.get("X-Sentry-Rate-Limit-Reset", "").strip()
    return float(text) - now if text.isascii() and text.isdigit() else seconds_to_wait(headers)


def _problem(document: Any) -> str | None:
    detail = document.get("detail") if isinstance(document, dict) else None
    found = detail.get("message") if isinstance(detail, dict) else detail
    return str(found) if found else None
