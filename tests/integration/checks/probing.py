"""Runs a check as the daemon does, under its monitor, and holds it to what every check promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from healthd.board import Board
from healthd.checks import find_kind
from healthd.checks.contract import Check, CheckContext
from healthd.clock import SystemClock
from healthd.model import FailureKind, Result, Status
from healthd.monitor import Listener, Monitor
from healthd.redaction import secrets_of

OVERRUN = 0.25  # seconds by which a probe may at most be late


class Watched:
    """A check and its monitor."""

    def __init__(self, kind: str, **options: Any) -> None:
        kind_class = find_kind(kind)
        self.config = kind_class.config_model.model_validate({"kind": kind, **options})
        clock = SystemClock()
        self.check: Check = kind_class(self.config, CheckContext(kind, clock, {}))
        self.monitor = Monitor(
            kind,
            self.config,
            self.check,
            board=Board(clock),
            clock=clock,
            redact=lambda text: text,  # the check itself must not say a secret, even if nobody blanks it out
            listener=Listener(lambda *_: None, lambda *_: None),
        )
        self._secrets = [password for uri in secrets_of(self.config) for password in _passwords(uri)]

    async def look(self) -> Result:
        """One probe: never late, never saying a secret, never naming a host among what it observed."""
        probe = await self.monitor.run()
        assert probe.duration <= self.config.timeout + OVERRUN
        for secret in self._secrets:
            assert secret not in repr(probe.result)
        assert "127.0.0.1" not in repr(probe.result.observed)
        return probe.result

    async def finds(self, status: Status, kind: FailureKind | None = None) -> Result:
        """One probe that must have this outcome."""
        result = await self.look()
        assert (result.status, result.kind) == (status, kind), result
        return result


def _passwords(uri: str) -> list[str]:
    userinfo, at, _ = urlsplit(uri).netloc.rpartition("@")
    password = userinfo.partition(":")[2]
    return [password, unquote(password)] if at and password else []


@asynccontextmanager
async def watched(kind: str, **options: Any) -> AsyncIterator[Watched]:
    """A check of `kind` with `options` as they stand in a file, closed after use."""
    subject = Watched(kind, **options)
    try:
        yield subject
    finally:
        await subject.monitor.close()
