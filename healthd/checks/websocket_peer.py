"""Open WebSocket as a probe sees it: messages that are expected, a ping that is answered, a close with its code."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, model_validator

from healthd.checks.json_expectation import JSONExpectation, Regex
from healthd.model import FailureKind
from healthd.runtime.patterns import PatternTooSlowError, is_found

_PING = b"healthd"
_MOST_MESSAGES = 1000  # to pass over
_ABNORMAL = 1006
_CODES = {  # RFC 6455, 7.4.1, and IANA's registry of WebSocket close codes
    1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1007: "invalid data",
    1008: "policy violation", 1009: "message too big", 1010: "extension missing", 1011: "internal error",
    1012: "service restart", 1013: "try again later", 1014: "bad gateway", 3000: "unauthorized", 3003: "forbidden",
    3008: "timeout",
}  # fmt: skip
_KINDS = {
    1008: FailureKind.PERMISSION,
    1013: FailureKind.EXHAUSTED,
    3000: FailureKind.AUTH,
    3003: FailureKind.PERMISSION,
}


class ClosedError(Exception):
    """The peer closed before it answered; the text is to be put after its name."""

    def __init__(self, code: int | None) -> None:
        if code in (None, _ABNORMAL):
            self.kind = FailureKind.CONNECT
            super().__init__("shook hands, and broke the connection off")
            return
        assert code is not None
        self.kind = _KINDS.get(code, FailureKind.UNEXPECTED_RESPONSE)
        words = f" ({_CODES[code]})" if code in _CODES else ""
        super().__init__(f"shook hands, and closed with {code}{words}")


class NotFittingError(Exception):
    """The peer sent what cannot be what is expected; the text is to be put after its name."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class MessageExpectation(BaseModel):
    """Expectations of one message; at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    contains: str | None = Field(None, min_length=1)
    """Text that the message must contain."""
    matches: Regex | None = None
    """Regular expression that must be found in the message."""
    json_values: tuple[JSONExpectation, ...] = Field((), alias="json")
    """Expectations of values of a JSON message."""

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not (self.contains or self.matches or self.json_values):
            raise ValueError("write contains, matches or json: any message would do")
        return self

    async def fits(self, message: str) -> bool:
        """As `_fits`, in a thread where patterns are searched: that lets threads run, but not the loop that waits."""
        patterns = (self.matches, *(value.matches for value in self.json_values))
        if any(pattern is not None for pattern in patterns):
            return await asyncio.to_thread(self._fits, message)
        return self._fits(message)

    def _fits(self, message: str) -> bool:
        """True if the message is as expected. Raises PatternTooSlowError."""
        if self.contains is not None and self.contains not in message:
            return False
        if self.matches is not None and not is_found(self.matches, message):
            return False
        if not self.json_values:
            return True
        try:
            document: Any = json.loads(message)
        except (ValueError, RecursionError):
            return False
        return not any(value.failure(document) for value in self.json_values)


class Peer:
    """Peer of an open WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        """Send a text message. Raises ClosedError."""
        try:
            await self._socket.send_str(text)
        except (OSError, aiohttp.ClientError):
            raise ClosedError(self._socket.close_code) from None

    async def answers_ping(self) -> None:
        """Return when a ping is answered. Raises ClosedError."""
        try:
            await self._socket.ping(_PING)
        except (OSError, aiohttp.ClientError):
            raise ClosedError(self._socket.close_code) from None
        while True:
            message = await self._next()
            if message.type is aiohttp.WSMsgType.PONG and bytes(message.data) == _PING:
                return

    async def sends(self, expected: MessageExpectation) -> None:
        """Return when a message arrives that is as expected. Raises ClosedError, and NotFittingError where too many
        others do."""
        passed_over = 0
        while passed_over < _MOST_MESSAGES:
            message = await self._next()
            if message.type is aiohttp.WSMsgType.TEXT:
                text = str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                text = bytes(message.data).decode(errors="replace")
            else:
                continue
            try:
                if await expected.fits(text):
                    return
            except PatternTooSlowError as error:
                raise NotFittingError(FailureKind.TIMEOUT, f"answers, and {error}") from None
            passed_over += 1
        raise NotFittingError(FailureKind.UNEXPECTED_RESPONSE, f"sent {passed_over} messages, none as expected")

    async def _next(self) -> aiohttp.WSMessage:
        """Return the next message; answer a ping. Raises ClosedError."""
        message = await self._socket.receive()
        match message.type:
            case aiohttp.WSMsgType.CLOSE:
                raise ClosedError(message.data or 1005)
            case aiohttp.WSMsgType.CLOSED | aiohttp.WSMsgType.CLOSING:
                raise ClosedError(self._socket.close_code)
            case aiohttp.WSMsgType.ERROR:
                text = "shook hands, and breaks the rules of WebSocket, or sends a message of more than 1 MiB"
                raise NotFittingError(FailureKind.UNEXPECTED_RESPONSE, text)
            case aiohttp.WSMsgType.PING:
                await self._socket.pong(message.data)
        return message
