"""Runs a check as the daemon does, under its monitor, and holds it to what every check promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from healthd.checks import find_kind
from healthd.checks.contract import Check, CheckContext
from healthd.model import FailureKind, Result, Status
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener, Monitor
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor, secrets_of
from tests.servers.lateness import Lateness

OVERRUN = 0.25  # seconds by which a probe may at most be late


class Watched:
    """A check and its monitor."""

    overrun = 0.0
    """Seconds by which the last probe took longer than it may, the machine's lateness left out."""

    def __init__(self, kind: str, **options: Any) -> None:
        kind_class = find_kind(kind)
        self.config = kind_class.config_model.model_validate({"kind": kind, **options})
        clock = SystemClock()
        board = Board(clock)
        board.arrange({kind: self.config}, {}, ())
        self.check: Check = kind_class(self.config, CheckContext(kind, clock, {}))
        self.monitor = Monitor(
            kind,
            self.config,
            self.check,
            board=board,
            clock=clock,
            redact=_Untouched(),
            listener=Listener(lambda *_: None, lambda *_: None),
        )
        self._secrets = [part for secret in secrets_of(self.config) for part in _telling_parts(secret)]

    async def look(self) -> Result:
        """One probe as `tells_nothing`, and never late."""
        with Lateness() as late:
            result, duration = await self._discreet()
        self.overrun = duration - late.seconds - self.config.timeout
        assert self.overrun <= OVERRUN
        return result

    async def tells_nothing(self) -> Result:
        """One probe, however long: never saying a secret, never naming a host among what it observed."""
        return (await self._discreet())[0]

    async def _discreet(self) -> tuple[Result, float]:
        probe = await self.monitor.run()
        for secret in self._secrets:
            assert secret not in repr(probe.result)
        assert "127.0.0.1" not in repr(probe.result.observed)
        return probe.result, probe.duration

    async def finds(self, status: Status, kind: FailureKind | None = None) -> Result:
        """One probe that must have this outcome."""
        result = await self.look()
        assert (result.status, result.kind) == (status, kind), result
        return result

    async def gives_up(self) -> Result:
        """One probe that the check itself ends as a timeout, before its monitor has to."""
        result = await self.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
        assert self.overrun < 0
        return result


class _Untouched(Redactor):
    """Blanks nothing out: the check itself must not say a secret."""

    def __call__(self, text: str) -> str:
        return text


def _telling_parts(secret: str) -> list[str]:
    """Of a URI the password, as written and decoded; of `Bearer KEY` the key; else the secret itself."""
    userinfo, at, _ = urlsplit(secret).netloc.rpartition("@") if "://" in secret else ("", "", "")
    parts = [userinfo.partition(":")[2]] if at else [] if "://" in secret else secret.split()[-1:]
    return [form for part in parts if part for form in (part, unquote(part))]


@asynccontextmanager
async def watched(kind: str, **options: Any) -> AsyncIterator[Watched]:
    """A check of `kind` with `options` as they stand in a file, closed after use."""
    subject = Watched(kind, **options)
    try:
        yield subject
    finally:
        await subject.monitor.close()
