"""One export: a request, and what its answer means (OTLP 1.x, section OTLP/HTTP)."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import aiohttp

from healthd.checks.proxy_option import own_proxy
from healthd.checks.trust import CAFileError, trust
from healthd.checks.unreachable import brief
from healthd.config.otlp import Otlp, Signal
from healthd.http.retry_after import seconds_to_wait
from healthd.http.session import new_session
from healthd.runtime.daemon_thread import in_daemon_thread

_AGAIN = frozenset({429, 502, 503, 504})  # what may be sent once more
_LARGEST_ANSWER = 65_536
_PROTOBUF = "application/x-protobuf"
_LONGEST_COMPLAINT = 200  # characters of a refusal


class ExportError(Exception):
    """An export was not taken. Where it is `final`, it would be refused again; `retry_after` (seconds) is the pause
    that the receiver asked for."""

    def __init__(self, message: str, *, final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.final, self.retry_after = final, retry_after


@dataclass(frozen=True, slots=True)
class Receiver:
    """Receiver of a configuration, with the session to it."""

    config: Otlp
    session: aiohttp.ClientSession

    async def send(self, signal: Signal, body: bytes) -> bytes:
        """Return the answer to an export, whose body is `packed`. Raises ExportError; the deadline is the caller's."""
        headers = {"Content-Type": _PROTOBUF}
        if self.config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        url = self.config.address(signal)
        try:
            async with self.session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await response.content.read(_LARGEST_ANSWER)
        except (aiohttp.ClientError, OSError) as error:
            raise ExportError(f"cannot be reached: {brief(error, url)}") from None
        if response.status == 200 and response.content_type == "text/html":
            raise ExportError(f"{url} answered with a page for people, as no receiver of OTLP does", final=True)
        if response.status == 200:
            return answer
        said = _said(response.content_type, answer)
        raise ExportError(
            f"{url} answered {response.status}{': ' if said else ''}{said[:_LONGEST_COMPLAINT]}",
            final=response.status not in _AGAIN,
            retry_after=seconds_to_wait(response.headers) if response.status in _AGAIN else None,
        )


def _said(content_type: str, answer: bytes) -> str:
    """Return what an error says, in protobuf or as a text."""
    text = ""
    if content_type == _PROTOBUF:
        from healthd.otlp.messages import complaint

        text = complaint(answer)
    return "".join(letter for letter in text or answer.decode(errors="replace") if letter.isprintable())


def packed(message: bytes, config: Otlp) -> bytes:
    """Return a message compressed as the configuration says. It takes time: call it in a thread."""
    return gzip.compress(message, 1, mtime=0) if config.compression == "gzip" else message


async def receiver_of(config: Otlp) -> Receiver:
    """Return the receiver. Raises ExportError where its authorities cannot be read."""
    try:
        context = await in_daemon_thread(lambda: trust(config.ca_file), name="otlp authorities")
    except CAFileError as error:
        raise ExportError(str(error)) from None
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    return Receiver(config, new_session(context, headers=headers, connections=2, proxy=own_proxy(config.proxy)))
