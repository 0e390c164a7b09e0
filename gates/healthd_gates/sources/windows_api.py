"""JSON calls of vendors of telemetry: their errors in their own words, and the pauses that they ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from math import ceil
from typing import Any
from urllib.parse import quote_plus

from healthd.http.retry_after import seconds_to_wait
from healthd.model import FailureKind
from healthd.runtime.clock import Clock
from healthd.wording import excerpt
from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.endpoint import STATUS_KINDS, Answer, Endpoint, Params, all_of, place_of
from healthd_gates.sources.window_counts import Found
from healthd_gates.sources.windows import Query

_PAUSE = 30.0  # seconds to wait where a vendor does not say how long
_LONGEST_PAUSE = 900.0
_SHOWN = 320  # characters of a message, with the address that answered
_READ = 4096  # bytes of an error that is no JSON
IN_AN_ADDRESS = 6000  # characters that the queries of a call take up: NGINX reads 8 KiB of a request's first line
_KINDS = {**STATUS_KINDS, 404: FailureKind.MISCONFIGURED}  # an address, index or organization that is not there


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the pause that Retry-After asks for."""
    return seconds_to_wait(headers)


Texts = Mapping[Query, str]
"""Request that is sent for each query."""


async def ask_together(
    texts: Texts, ask: Callable[[Texts], Coroutine[Any, Any, Found]], most: int = IN_AN_ADDRESS
) -> Found:
    """Ask for all, with as many in a call as fit into `most` characters of an address. Raises SourceUnavailable."""
    answers = await all_of({place: ask(call) for place, call in enumerate(_calls_of(texts, most))})
    return {query: windows for answer in answers.values() for query, windows in answer.items()}


def _calls_of(texts: Texts, most: int) -> list[dict[Query, str]]:
    """Return the texts of each call, in order; one that is too long is alone."""
    calls, length = list[dict[Query, str]](), 0
    for query, text in texts.items():
        own = len(quote_plus(text))
        if not calls or length + own > most:
            calls.append({})
            length = 0
        calls[-1][query] = text
        length += own
    return calls


class WindowsApi:
    """One gate's calls of one vendor.

    `pause_of` reads the pause from the headers of a 429, given the time, and `problem_of` what is wrong from the body
    of an error.
    """

    def __init__(
        self,
        vendor: str,
        endpoint: Endpoint,
        clock: Clock,
        pause_of: Callable[[Mapping[str, str], float], float | None] = retry_after,
        problem_of: Callable[[Any], str | None] = lambda _: None,
    ) -> None:
        self._vendor, self._endpoint, self._clock = vendor, endpoint, clock
        self._pause_of, self._problem_of = pause_of, problem_of
        self._free_at = 0.0

    async def call(self, url: str, params: Params = None, body: Any = None, *, with_headers: bool = False) -> Any:
        """Return the JSON of an answer; with a body by POST. Raises SourceUnavailable."""
        answer = await self._send(url, params, body)
        document = await self._parsed(url, answer)
        return (document, answer.headers) if with_headers else document

    def unavailable(self, kind: FailureKind, text: str, *, unanswered: bool = False) -> SourceUnavailable:
        return self._endpoint.unavailable(kind, f"{self._vendor}: {excerpt(text, _SHOWN)}", unanswered=unanswered)

    def limited(self, pause: float | None) -> SourceUnavailable:
        """Keep a pause, and return the outage that it is."""
        seconds = min(_PAUSE if pause is None else max(pause, 1.0), _LONGEST_PAUSE)
        self._free_at = self._clock.now().timestamp() + seconds
        text = f"the limit of requests is reached, asked again in {ceil(seconds)} s: use a longer `window`"
        return self.unavailable(FailureKind.RATE_LIMITED, text, unanswered=True)

    async def _send(self, url: str, params: Params, body: Any) -> Answer:
        now = self._clock.now().timestamp()
        if 0 < self._free_at - now <= _LONGEST_PAUSE:
            text = f"the limit of requests was reached, asked again in {ceil(self._free_at - now)} s"
            raise self.unavailable(FailureKind.RATE_LIMITED, text, unanswered=True)
        answer = await self._endpoint.get(url, params, "application/json", body)
        if answer.status == 429:
            raise self.limited(self._pause_of(answer.headers, now))
        return answer

    async def _parsed(self, url: str, answer: Answer) -> Any:
        try:
            document = await asyncio.to_thread(json.loads, answer.body)
        except (ValueError, RecursionError):
            document = None
        if 200 <= answer.status < 300:
            if document is None:
                if answer.is_page:  # of a login, or of another program
                    text = f"{place_of(url)} answered with a page of HTML, not with JSON: check the address"
                    raise self.unavailable(FailureKind.MISCONFIGURED, text)
                raise self.unavailable(FailureKind.UNEXPECTED_RESPONSE, f"{place_of(url)} did not answer with JSON")
            return document
        if 300 <= answer.status < 400:
            self._endpoint.refuse_status(url, answer)
        problem = self._problem_of(document) if document is not None else _plain(answer)
        kind = _KINDS.get(answer.status, FailureKind.UNEXPECTED_RESPONSE)
        told = f": {excerpt(problem)}" if problem else ""
        raise self.unavailable(kind, f"{self._endpoint.answered(url, answer)}{told}", unanswered=True)


def _plain(answer: Answer) -> str | None:
    """Return the text of an error that is no JSON and no page; Graphite sends it as if it were one, and InfluxDB 3
    without a type."""
    text = answer.body[:_READ].decode(errors="replace").strip()
    is_text = (
        answer.content_type.startswith(("text/plain", "application/octet-stream"))
        or not answer.content_type
        or (answer.is_page and "<" not in text)
    )
    return text or None if is_text else None
