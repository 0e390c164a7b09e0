"""One arm's synthetic requests and their outcomes. `open_loop.py` schedules them.

Failures of healthd itself (no name resolution, no free port, an event loop that was blocked) are distinguished from
those of the target, and are not counted.
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
from healthd.checks.unreachable import brief
from healthd.model import FailureKind
from healthd_gates.domain.smoke_request import SmokeRequest
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.http_options import DirectHttpConfig
from healthd_gates.sources.names import Names
from healthd_gates.sources.open_loop import OpenLoop

_PIECE = 65_536


class Outcome(Enum):
    """Outcome of a synthetic request."""

    GOOD = "answered as it must be"
    WRONG = "answered otherwise"
    LATE = "not answered in time"
    UNREACHED = "the connection failed"
    UNSENT = "healthd could not ask"
    DOUBTFUL = "not answered in time, while healthd stood still"


class Tally:
    """The counts of one arm since the source began. They only grow."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = (*edges, inf)
        self._buckets = [0] * len(self._edges)
        self._seconds = 0.0
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.last_problem = ""

    def add(self, outcome: Outcome, seconds: float | None, problem: str | None) -> None:
        """Add one request, the time it took, None if that is not known, and what was wrong. A connection that failed
        says nothing about the latency."""
        self.outcomes[outcome] += 1
        self.last_problem = problem or self.last_problem
        if seconds is not None and outcome in (Outcome.GOOD, Outcome.WRONG, Outcome.LATE):
            self._buckets[bisect_left(self._edges, seconds)] += 1
            self._seconds += seconds

    def snapshot(self, at: float) -> Snapshot:
        """Return the counts as counters of a process."""
        below = zip(self._edges, accumulate(self._buckets), strict=True)
        values = {Counter(Family.BUCKET, "probe", repr(edge)): float(count) for edge, count in below}
        errors = self.outcomes[Outcome.WRONG] + self.outcomes[Outcome.LATE] + self.outcomes[Outcome.UNREACHED]
        values[Counter(Family.REQUESTS, "probe")] = float(errors + self.outcomes[Outcome.GOOD])
        values[Counter(Family.ERRORS, "probe")] = float(errors)
        values[Counter(Family.SUM, "probe")] = self._seconds
        return Snapshot(at, values)


@dataclass(frozen=True, slots=True)
class Orders:
    """The requests to send: each request to each address in turn, `rate` a second, with a timeout of `timeout` seconds
    for each."""

    requests: Sequence[SmokeRequest]
    addresses: Sequence[str]
    rate: float
    timeout: float
    keep_alive: bool
    http: DirectHttpConfig


class Volley:
    """Synthetic requests to one arm, while `run` is running."""

    def __init__(self, orders: Orders, edges: Sequence[float], redact: Callable[[str], str]) -> None:
        self._orders, self._redact = orders, redact
        self._turns: Iterator[tuple[SmokeRequest, str]] = cycle(product(orders.requests, orders.addresses))
        self.tally = Tally(edges)
        self.pace = OpenLoop(orders.rate, self._fire)
        self._names = Names()
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Run until cancelled. Raises OSError or ssl.SSLError when the TLS files cannot be read."""
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
        self.tally.add(*self._judged(outcome, seconds, problem, stood_still=self.pace.stood_still_since(fired)))

    def _judged(
        self, outcome: Outcome, seconds: float, problem: str | None, *, stood_still: bool
    ) -> tuple[Outcome, float | None, str | None]:
        """Return what a request counts for. If healthd stood still meanwhile its time is not known, but the answer is
        what it is; only one that did not come in time may have come."""
        if outcome is Outcome.LATE and not stood_still:  # even if the timer went off too early
            return outcome, max(seconds, nextafter(self._orders.timeout, inf)), problem
        if outcome is Outcome.LATE:
            return Outcome.DOUBTFUL, None, None
        return outcome, None if stood_still else seconds, problem

    async def _prepare(self, url: URL) -> str | None:
        """Resolve the name; return why that failed, or None."""
        try:
            async with asyncio.timeout(self._orders.timeout):
                await self._names.prepare(url)
        except TimeoutError:
            return f"the name {url.host} was not resolved within {self._orders.timeout:g} s"
        except OSError as error:
            return f"{url.host} cannot be resolved: {describe(error)}"
        return None

    async def _send(self, request: SmokeRequest, url: URL) -> tuple[Outcome, str | None]:
        """Send a request; return its outcome, and what was wrong."""
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
            return (Outcome.UNSENT if _is_ours(error) else Outcome.UNREACHED), self._redact(brief(error, str(url)))
        if response.status != request.status:
            what = f"{request.method.upper()} {request.path} gave {response.status}, must be {request.status}"
            return Outcome.WRONG, what
        return Outcome.GOOD, None

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        """Read the answer to its end, since that is part of it; a long answer only up to the limit."""
        left = self._orders.http.max_size
        async for piece in response.content.iter_chunked(_PIECE):
            left -= len(piece)
            if left <= 0:
                return


def _is_ours(error: Exception) -> bool:
    """True if the error is about this host rather than the target."""
    return classify(error) is FailureKind.EXHAUSTED or getattr(error, "errno", None) == errno.ENETUNREACH
