"""An HTTP peer that answers as it is told and remembers what it was sent.

It lives in the event loop of the test. What particular services answer is in `third_parties.py`.
"""

import asyncio
import inspect
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from tests.servers.ports import HOST, free_port
from tests.servers.waiting import HANGS


@dataclass(frozen=True)
class Answer:
    """One response. `body` is sent as it is, `json` encoded; `delay` is in seconds, before the first byte.

    With `hang_up` the connection is closed without any response.
    """

    status: int = 200
    json: object = None
    body: str | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False

    def response(self) -> web.Response:
        if self.body is None and self.json is not None:
            return web.json_response(self.json, status=self.status, headers=self.headers)
        content = self.body if isinstance(self.body, bytes) else (self.body or "").encode()
        return web.Response(status=self.status, body=content, headers=self.headers)


@dataclass(frozen=True)
class Received:
    """One request as it arrived; header names are matched in any case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: CIMultiDictProxy[str]
    body: bytes
    pairs: Sequence[tuple[str, str]] = ()
    """The query with names that stand in it several times."""

    def json(self) -> object:
        return json.loads(self.body)


Respond = Callable[[Received], Answer | Awaitable[Answer]]
"""An answer that depends on the request, and may take its time."""


class Peer:
    """Answers each method and path with what was set last."""

    def __init__(self, scheme: str) -> None:
        self.fallback: Answer | Respond = Answer(status=404)
        """For what nothing was set for."""
        self.host = HOST
        self.port = 0
        self.received: list[Received] = []
        self._lasting: dict[tuple[str, str], Answer | Respond] = {}
        self._once: defaultdict[tuple[str, str], deque[Answer]] = defaultdict(deque)
        self._arrived = asyncio.Condition()
        self._scheme = scheme

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.host}:{self.port}"

    def answer(self, method: str, path: str, answer: Answer | Respond) -> None:
        """From now on."""
        self._lasting[method, path] = answer

    def answer_once(self, method: str, path: str, *answers: Answer) -> None:
        """The next requests, in this order, ahead of the lasting answer."""
        self._once[method, path].extend(answers)

    async def received_at_least(self, count: int, timeout: float = HANGS) -> list[Received]:
        """Wait until that many requests arrived; raises TimeoutError."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = CIMultiDictProxy(CIMultiDict(request.headers))
        body = await request.read()
        async with self._arrived:
            received = Received(
                request.method, request.path, dict(request.query), headers, body, tuple(request.query.items())
            )
            self.received.append(received)
            self._arrived.notify_all()
        said = self._next(received, request.raw_path.partition("?")[0])
        answer = await said if inspect.isawaitable(said) else said
        await asyncio.sleep(answer.delay)
        if answer.hang_up and request.transport:
            request.transport.abort()
        return answer.response()

    def _next(self, received: Received, raw_path: str) -> Answer | Awaitable[Answer]:
        """The answer for a path as it was sent, with its escapes, or as it reads."""
        place = (received.method, raw_path)
        if place not in self._once and place not in self._lasting:
            place = (received.method, received.path)
        if self._once[place]:
            return self._once[place].popleft()
        answer = self._lasting.get(place, self.fallback)
        return answer if isinstance(answer, Answer) else answer(received)


@asynccontextmanager
async def peer(tls: ssl.SSLContext | None = None, port: int | None = None) -> AsyncIterator[Peer]:
    """A peer on a free port or one that is given, over HTTPS when given a server's context."""
    answering = Peer("https" if tls else "http")
    server = web.Server(answering.handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, HOST, port or free_port(), ssl=tls)
    answering.port = listener.sockets[0].getsockname()[1]
    try:
        yield answering
    finally:
        listener.close()
        await server.shutdown(timeout=0.01)  # 0 would wait without end for a slow answer
