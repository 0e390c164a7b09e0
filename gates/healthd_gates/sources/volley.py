"""One arm's synthetic requests and what became of them. When they are sent is in `open_loop.py`.

What is healthd's own fault (no name resolution, no free port, an event loop that stood still) is told apart from what
is the target's, and counts for nothing.
"""

from __future__ import annotations

import asyncio
import errno
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate, cycle, product
from math import inf, nextafter

import aiohttp
from yarl import URL

from healthd.checks.failures import classify, describe
from healthd.model import FailureKind
from healthd_gates.domain.smoke_request import SmokeRequest
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.endpoint import HttpConfig
from healthd_gates.sources.names import Names
from healthd_gates.sources.open_loop import OpenLoop

_PIECE = 65_536


class Outcome(Enum):
    """What became of a synthetic request."""

    GOOD = "answered as it must be"
    WRONG = "answered otherwise"
    LATE = "not answered in time"
    UNREACHED = "the connection failed"
    UNSENT = "healthd could not ask"
    DOUBTFUL = "healthd stood still meanwhile"


class Tally:
    """What was counted of one arm since the source began. Only ever grows."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = (*edges, inf)
        self._buckets = [0] * len(self._edges)
        self._seconds = 0.0
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.last_problem = ""

    def add(self, outcome: Outcome, seconds: float, problem: str | None) -> None:
        """One request, the time it took and what was wrong. A connection that failed says nothing of the latency."""
        self.outcomes[outcome] += 1
        self.last_problem = problem or self.last_problem
        if outcome in (Outcome.GOOD, Outcome.WRONG, Outcome.LATE):
            self._buckets[bisect_left(self._edges, seconds)] += 1
            self._seconds += seconds

    def snapshot(self, at: float) -> Snapshot:
        """As the counters of a process."""
        below = zip(self._edges, accumulate(self._buckets), strict=True)
        values = {Counter(Family.BUCKET, "probe", repr(edge)): float(count) for edge, count in below}
        errors = self.outcomes[Outcome.WRONG] + self.outcomes[Outcome.LATE] + self.outcomes[Outcome.UNREACHED]
        values[Counter(Family.REQUESTS, "probe")] = float(errors + self.outcomes[Outcome.GOOD])
        values[Counter(Family.ERRORS, "probe")] = float(errors)
        values[Counter(Family.SUM, "probe")] = self._seconds
        return Snapshot(at, values)


@dataclass(frozen=True, slots=True)
class Orders:
    """What to send: each request to each address in turn, `rate` a second, with `timeout` seconds for each."""

    requests: Sequence[SmokeRequest]
    addresses: Sequence[str]
    rate: float
    timeout: float
    keep_alive: bool
    http: HttpConfig


class Volley:
    """Synthetic requests to one arm, for as long as `run` does."""

    def __init__(self, orders: Orders, edges: Sequence[float], redact: Callable[[str], str]) -> None:
        self._orders, self._redact = orders, redact
        self._turns: Iterator[tuple[SmokeRequest, str]] = cycle(product(orders.requests, orders.addresses))
        self.tally = Tally(edges)
        self.pace = OpenLoop(orders.rate, self._fire)
        self._names = Names()
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Until cancelled. Raises OSError or ssl.SSLError when the TLS files cannot be read."""
        http = self._orders.http
        context = await asyncio.to_thread(http.tls.context)
        connector = aiohttp.TCPConnector(
            ssl=context, limit=0, force_close=not self._orders.keep_alive, resolver=self._names, use_dns_cache=False
        )
        async with aiohttp.ClientSession(
            connector=connector,
            headers=http.sent_headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as self._session:
            await self.pace.run()

    async def _fire(self) -> None:
        request, address = next(self._turns)
        url, loop = URL(address + request.path), asyncio.get_running_loop()
        fired = began = loop.time()
        if (problem := await self._prepare(url)) is not None:
            outcome = Outcome.UNSENT
        else:
            began = loop.time()
            outcome, problem = await self._send(request, url)
        seconds = loop.time() - began
        if self.pace.stood_still_since(fired):
            outcome, problem = Outcome.DOUBTFUL, None
        if outcome is Outcome.LATE:  # slower than the timeout, however early the timer went off
            seconds = max(seconds, nextafter(self._orders.timeout, inf))
        self.tally.add(outcome, seconds, problem)

    async def _prepare(self, url: URL) -> str | None:
        """Resolve the name, or say why that failed."""
        try:
            async with asyncio.timeout(self._orders.timeout):
                await self._names.prepare(url)
        except OSError as error:  # which a timeout is too
            return f"{url.host} cannot be resolved: {describe(error)}"
        return None

    async def _send(self, request: SmokeRequest, url: URL) -> tuple[Outcome, str | None]:
        """What became of it, and what was wrong."""
        assert self._session is not None
        try:
            async with (
                asyncio.timeout(self._orders.timeout),
                self._session.request(
                    request.method,
                    url,
                    headers={key: value.get_secret_value() for key, value in request.headers.items()},
                    json=request.sent_json,
                    allow_redirects=False,
                    server_hostname=self._orders.http.tls.server_name,
                ) as response,
            ):
                await self._read(response)
        except TimeoutError:
            return Outcome.LATE, f"no answer within {self._orders.timeout:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return (Outcome.UNSENT if _is_ours(error) else Outcome.UNREACHED), self._redact(describe(error))
        if response.status != request.status:
            what = f"{request.method.upper()} {request.path} gave {response.status}, must be {request.status}"
            return Outcome.WRONG, what
        return Outcome.GOOD, None

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        """To the end, which is part of the answer; of a long one, as much as is worth it."""
        left = self._orders.http.max_size
        async for piece in response.content.iter_chunked(_PIECE):
            left -= len(piece)
            if left <= 0:
                return


def _is_ours(error: Exception) -> bool:
    """Whether it says something of this host rather than of the target."""
    return classify(error) is FailureKind.EXHAUSTED or getattr(error, "errno", None) == errno.ENETUNREACH
