"""Count refused callers, and log each kind of them once a minute at most."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import structlog

from healthd.runtime.repeats import Repeats

_log = structlog.get_logger(__name__)


class Reason(StrEnum):
    """Reason of a refusal."""

    UNKNOWN_TOKEN = "unknown_token"
    EXPIRED_TOKEN = "expired_token"
    SIGN_IN = "sign_in"
    BAD_SIGNATURE = "bad_signature"
    NOT_HTTP = "not_http"
    SLOW_HEAD = "slow_head"
    LONG_HEAD = "long_head"
    CROWDED = "crowded"


_TOLD = {
    Reason.UNKNOWN_TOKEN: "callers with a token that is not known were refused",
    Reason.EXPIRED_TOKEN: "callers with a token that has expired were refused",
    Reason.SIGN_IN: "people who came back from the provider of their sign-in were refused",
    Reason.BAD_SIGNATURE: "events with a wrong signature were refused",
    Reason.CROWDED: "idle connections were closed: there are too many",
}


class Refusals:
    """Refusals of one daemon. A kind that anyone can cause, and that indicates nothing, is counted and not logged."""

    def __init__(self, count: Callable[[str], None] = lambda _reason: None, repeats: Repeats | None = None) -> None:
        self._count, self._repeats = count, repeats or Repeats()

    def __call__(self, reason: Reason) -> None:
        self._count(reason.value)
        if reason in _TOLD and (times := self._repeats.count(reason)):
            _log.warning(_TOLD[reason], times=times)
