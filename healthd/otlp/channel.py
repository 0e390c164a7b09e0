"""The exports of one signal: where they go, what became of them, and when the next may follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from healthd.config.otlp import Otlp, Signal
from healthd.otlp.sending import ExportError, Receiver, packed, receiver_of
from healthd.runtime.daemon_thread import in_daemon_thread
from healthd.runtime.deadline import with_deadline

_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0  # seconds
_LONGEST_OWN = {"metrics": 60.0, "traces": 300.0}  # that no receiver asked for; missing metrics raise alarms


@dataclass(frozen=True, slots=True)
class ExportMetrics:
    """Callbacks about exports: plain calls. `counted(signal, outcome, items)`, where the outcome is `exported`,
    `refused` or `dropped`; `up(signal, works)`, None where nothing is exported."""

    counted: Callable[[str, str, int], None]
    up: Callable[[str, bool | None], None]


class Channel:
    """Sends the exports of one signal. A failure is told in the log once, and counted."""

    def __init__(self, signal: Signal, books: ExportMetrics, redact: Callable[[str], str]) -> None:
        self.signal = signal
        self._books, self._redact = books, redact
        self._receiver: Receiver | None = None
        self._down = False
        self.pause = 0.0
        """Seconds for which the receiver wants nothing, or is given time to come back."""

    async def send(self, config: Otlp, build: Callable[[], tuple[bytes, int]], *, items: int, again: bool) -> None:
        """Build a message and send it; `items` is its number of items as far as known before. Raises ExportError, and
        nothing else. Where nobody sends it `again`, it is counted as dropped."""

        def message() -> tuple[bytes, int]:
            built, number = build()
            return packed(built, config), number

        try:
            body, items = await in_daemon_thread(message, name=f"otlp {self.signal}")
            answer = await self._answer(config, body)
            self._taken(answer, items)
        except ExportError as error:
            self._failed(error)
            if error.final or not again:
                self._books.counted(self.signal, "refused" if error.final else "dropped", items)
            raise
        except Exception as error:
            self.broken(error, items)
            raise ExportError(str(error), final=True) from error

    def broken(self, error: Exception, items: int) -> None:
        """Tell an error of our own, which would come again, and count what cannot be sent for it as dropped."""
        self._failed(ExportError(f"cannot be sent: {type(error).__name__}: {error}", final=True), fault=error)
        self._books.counted(self.signal, "dropped", items)

    async def close(self) -> None:
        """Close the connections; the next export opens others."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            await receiver.session.close()

    def lost(self, items: int) -> None:
        """Count what could not be kept until it can be sent."""
        self._books.counted(self.signal, "dropped", items)

    async def silence(self) -> None:
        """Say that nothing is exported, and close the connections."""
        await self.close()
        self._down, self.pause = False, 0.0
        self._books.up(self.signal, None)

    async def _answer(self, config: Otlp, body: bytes) -> bytes:
        if self._receiver is None or self._receiver.config != config:
            await self.close()
            self._receiver = await receiver_of(config)
        try:
            sending = self._receiver.send(self.signal, body)
            return await with_deadline(config.timeout, sending, name=f"otlp:{self.signal}")
        except TimeoutError as error:
            raise ExportError(str(error)) from None

    def _taken(self, answer: bytes, items: int) -> None:
        from google.protobuf.message import DecodeError

        from healthd.otlp.messages import rejected

        try:
            refused, why = rejected(self.signal, answer)
        except DecodeError:  # it has said 200, in words of its own
            refused, why = 0, ""
        refused = max(0, min(refused, items))
        self._books.counted(self.signal, "exported", items - refused)
        if refused:
            self._books.counted(self.signal, "refused", refused)
            self._failed(ExportError(f"refused {refused} of {items}: {why[:200]}", final=True))
            return
        if self._down:
            _log.info("otlp export works again", signal=self.signal)
        self._down, self.pause = False, 0.0
        self._books.up(self.signal, True)

    def _failed(self, error: ExportError, fault: Exception | None = None) -> None:
        if not self._down:
            trace = {"exc_info": fault} if fault is not None else {}
            _log.warning("otlp export failed", signal=self.signal, problem=self._redact(str(error)), **trace)
        self._down = True
        self._books.up(self.signal, False)
        longer = min(max(2 * self.pause, _FIRST_PAUSE), _LONGEST_OWN[self.signal])
        self.pause = min(error.retry_after, _LONGEST_PAUSE) if error.retry_after is not None else longer
