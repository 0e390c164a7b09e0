"""Transport to the daemon: retries, pauses, refusals as exceptions. The calls are in `client.client`."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from healthd.checks.unreachable import why_not_asked
from healthd.http.retry_after import seconds_to_wait
from healthd.http.session import command_session, connector
from healthd.runtime.late import told_if_late
from healthd.runtime.lookups import noting
from healthd.runtime.web_address import WebAddress
from healthd_gates.client.credentials import CredentialError, Credentials

_AGAIN = frozenset({408, 429, 502, 503, 504})
_NOT_HEALTHD = "does the URL lead to the daemon, and not to an application or a proxy?"
_NOBODY_BEHIND = "a proxy or balancer in front reaches no daemon, or the URL leads to an application: is healthd up?"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_MARGIN = 10.0  # seconds that the answer to a held call may be late
_LATE = 2.0  # seconds after which whoever waits is told for what


class Unreachable(Exception):  # noqa: N818 - the caller's word for it
    """The daemon gave no usable answer until the timeout."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer
    """The daemon refused the call. `problem` is its problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        title, detail = problem.get("title") or f"status {status}", problem.get("detail")
        super().__init__(f"{title}: {detail}" if detail else str(title))


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with any status. `retry_after` in seconds."""

    status: int
    body: bytes
    retry_after: float | None
    location: str | None = None

    def check(self) -> None:
        """Raise Refused unless the call succeeded."""
        if 200 <= self.status < 300:
            return
        raise Refused(self.status, self._problem())

    def in_words(self) -> str:
        """Return what was answered instead of what was asked for."""
        problem = self._problem()
        return f"answers {self.status}: {problem.get('detail') or problem.get('title')}".rstrip(".")

    def _problem(self) -> Mapping[str, Any]:
        """Return the daemon's own problem; if the answer is not the daemon's, the likely meaning of its status."""
        try:
            problem = json.loads(self.body)
        except ValueError:
            problem = None
        if isinstance(problem, dict) and "title" in problem:
            return problem
        title = f"status {self.status}"
        if self.location is not None:
            return {"title": title, "detail": f"it sends to {self.location}: give the address of the daemon itself"}
        meant = _NOBODY_BEHIND if self.status in _AGAIN else _NOT_HEALTHD
        return {"title": title, "detail": f"that is no answer of healthd's: {meant}"}


@dataclass(slots=True)
class _Trouble:
    """Outcome of the last try of a call; no sentence before one is over."""

    sentence: str = ""


class Transport:
    """Sends calls to one daemon, with retries for `retry_for` seconds; each attempt has a timeout of `timeout` seconds.

    Redirects are not followed: a token is sent to nobody but the daemon that it is meant for. `waiting` is called with
    a sentence once a call takes long, and not again before one has not.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        retry_for: float,
        timeout: float,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self.url, self._retry_for, self._timeout = url.rstrip("/"), retry_for, timeout
        self._credentials, self._waiting = credentials, waiting
        self._has_told = False
        self.session = command_session(
            connector=connector(),
            headers={"Accept": "application/json"},
        )

    async def close(self) -> None:
        await self.session.close()

    async def authorization(self) -> dict[str, str]:
        """Return the header that identifies the caller. Raises OSError."""
        token = await self._credentials.bearer()
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        held: float = 0.0,
    ) -> Answered:
        """Return the daemon's answer; the last one if it only ever said that it cannot answer now.

        `held` is the number of seconds for which the daemon is asked to hold the call open. Raises Unreachable. Where
        the caller gives up earlier, the CancelledError has what failed so far as its note: a TimeoutError has it as its
        cause or context.
        """
        limit = aiohttp.ClientTimeout(total=self._timeout + (held + _MARGIN if held else 0.0))
        trouble = _Trouble()
        was_late = False

        def late() -> None:
            nonlocal was_late
            was_late = True
            if self._waiting is not None and not self._has_told:
                longest = self._retry_for if trouble.sentence else max(self._retry_for, limit.total or 0.0)
                said = trouble.sentence or "has not answered yet"
                self._waiting(f"{WebAddress(self.url).masked} {said}; waiting for up to {longest:g} s")
            self._has_told = True

        with told_if_late(held + _LATE, late):
            try:
                answered = await self._sent(method, path, body, query, headers, limit, trouble)
            except asyncio.CancelledError as given_up:
                if trouble.sentence:
                    given_up.add_note(f"{WebAddress(self.url).masked} {trouble.sentence}")
                raise
        self._has_told = was_late
        return answered

    async def _sent(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        limit: aiohttp.ClientTimeout,
        trouble: _Trouble,
    ) -> Answered:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._retry_for, _FIRST_PAUSE
        while True:
            answered, failure = None, ""
            with noting():
                try:
                    async with self.session.request(
                        method,
                        self.url + path,
                        json=body,
                        params=query,
                        headers={**await self.authorization(), **(headers or {})},
                        timeout=limit,
                        allow_redirects=False,
                    ) as response:
                        wanted = seconds_to_wait(response.headers)
                        location = response.headers.get("Location") if 300 <= response.status < 400 else None
                        answered = Answered(response.status, await response.read(), wanted, location)
                    if answered.status not in _AGAIN:
                        return answered
                except CredentialError as error:
                    answered, failure = None, str(error)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    answered, failure = None, why_not_asked(error, self.url, limit.total)
            wait = (answered.retry_after if answered else None) or pause * random.uniform(0.5, 1.0)
            if loop.time() + wait > deadline:
                if answered is not None:
                    return answered
                tried = f" for {self._retry_for:g} s" if self._retry_for else ""
                raise Unreachable(f"{WebAddress(self.url).masked} could not be asked{tried}: {failure}")
            trouble.sentence = f"could not be asked yet: {failure}" if answered is None else answered.in_words()
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)
