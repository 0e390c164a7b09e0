"""The long tail of receivers, by the library Apprise: nearly two hundred services, each by one address.

The library blocks, and knows only whether a message was accepted; so it is called in a thread, and what it logs
meanwhile is the reason of a failure.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import apprise
from apprise.plugins.base import NotifyBase
from pydantic import AfterValidator

from healthd.notifiers.apprise_address import AppriseAddress
from healthd.notifiers.apprise_services import service_of
from healthd.notifiers.contract import DeliveryError, NotifierConfig, NotifierContext
from healthd.notifiers.mail import LONGEST_SUBJECT
from healthd.notifiers.notice import Notice, Severity, urgency
from healthd.notifiers.wording import headline, paragraph, word
from healthd.runtime.daemon_thread import in_daemon_thread
from healthd.runtime.receiver_address import ReceiverAddress

_TYPES = {
    Severity.CRITICAL: apprise.NotifyType.FAILURE,
    Severity.WARNING: apprise.NotifyType.WARNING,
    Severity.INFO: apprise.NotifyType.INFO,
}
_LONGEST_REASON = 300  # characters
# What most services log of a request that had no answer.
_EXCEPTION = re.compile(r"Socket Exception[ \w]*: (?P<text>.*)", re.DOTALL)
_LOST = re.compile(r"Read timed out|Connection aborted")
_CAUSE = re.compile(
    r"\[Errno -?\d+\] (?P<errno>[^'\")\]]+)|(?P<late>timed out)|(?P<tls>certificate verify failed: [^(]+)"
)
_MENTION = re.compile(r"(?<!\w)@(?=\w)")


def _known(address: ReceiverAddress) -> ReceiverAddress:
    service_of(address.get_secret_value())
    return AppriseAddress(address.get_secret_value())


class AppriseConfig(NotifierConfig):
    kind: Literal["apprise"]
    url: Annotated[ReceiverAddress, AfterValidator(_known)]
    """Address of the receiver as Apprise writes it, such as `tgram://TOKEN/CHAT`, which is a secret."""


class Apprise:
    """Sends one message for all notices within `group_wait`.

    A message that was accepted after its time was up is not sent again: services wait between the messages to several
    targets, so that every try could take too long.
    """

    config_model: ClassVar[type[NotifierConfig]] = AppriseConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: AppriseConfig, context: NotifierContext) -> None:
        self._config, self._context = config, context
        self._busy = threading.Lock()  # of the thread that sends
        # Of a message that was accepted, and perhaps too late to be heard of.
        self._sent: frozenset[tuple[str, Severity, bool]] = frozenset()

    async def send(self, notices: Sequence[Notice]) -> None:
        await in_daemon_thread(lambda: self._deliver(notices), name="apprise")
        self._sent = frozenset()  # it was heard of

    def _deliver(self, notices: Sequence[Notice]) -> None:
        """Send a message in the thread that calls, and note that it was accepted. Raises DeliveryError."""
        if not self._busy.acquire(blocking=False):
            raise DeliveryError("the message before this one is still under way")
        try:
            if news := [notice for notice in notices if _said(notice) not in self._sent]:
                self._notify(news)
            self._sent = frozenset(map(_said, notices))
        finally:
            self._busy.release()

    def _notify(self, notices: Sequence[Notice]) -> None:
        title, body = self._message(notices, self._service.body_maxlen)
        worst = min(notices, key=urgency)
        result = apprise.Apprise(self._service).notify(
            body,
            title,
            _TYPES[worst.severity] if worst.firing else apprise.NotifyType.SUCCESS,
            body_format=apprise.NotifyFormat.TEXT,
            log_level=logging.DEBUG,
        )
        if not result:
            entries = [(entry.level, entry.message) for entry in result.logs()]
            lost = any(_EXCEPTION.match(message) and _LOST.search(message) for _, message in entries)
            raise DeliveryError(_reason(entries), perhaps_taken=lost)

    @cached_property
    def _service(self) -> NotifyBase:
        service = service_of(self._config.url.get_secret_value())
        service.socket_connect_timeout = service.socket_read_timeout = self._config.timeout
        if service.overflow_mode is apprise.OverflowMode.UPSTREAM:  # the receiver would refuse all of it
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
        return service

    def _message(self, notices: Sequence[Notice], longest: int) -> tuple[str, str]:
        """Return title and text: all of each notice, or a line where that would not fit, the worst first."""
        worst_first = sorted(notices, key=urgency)
        title = " ".join(headline(notices, self._context.environment).split())[:LONGEST_SUBJECT]
        body = "\n\n".join(map(paragraph, worst_first))
        if len(title) + len(body) > longest:
            body = "\n".join(f"{word(notice)}: {notice.summary}" for notice in worst_first)
        return _harmless(title), _harmless(body)


def _said(notice: Notice) -> tuple[str, Severity, bool]:
    """Return what makes a notice news: one that has become worse keeps its id."""
    return notice.id, notice.severity, notice.firing


def _harmless(text: str) -> str:
    """Break up what would mention somebody: a dependency's message must not."""
    return _MENTION.sub("@\u200b", text)


def _reason(entries: Sequence[tuple[str, str]]) -> str:
    """Return why a message was not accepted, from what the library logged, each sentence once."""
    told = [message for level, message in entries if level in ("WARNING", "ERROR", "CRITICAL")]
    reasons = dict.fromkeys(" ".join(text.split()).rstrip(".") for text in [*told, *_causes(entries)])
    return ": ".join(reasons)[:_LONGEST_REASON] or "Apprise does not say why it was not accepted"


def _causes(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    for _, message in entries:
        if (raised := _EXCEPTION.match(message)) and (cause := _CAUSE.search(raised["text"])):
            yield cause["errno"] or cause["tls"] or cause["late"]
