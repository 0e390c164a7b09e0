"""HTTP request of a probe, and its encoding to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from healthd import __version__
from healthd.checks.connect import Endpoint
from healthd.http.outgoing import Proxy

_DEFAULTS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": f"healthd/{__version__}"}
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True)
class Request:
    """Request of a probe. Header values and the URL may hold secrets: none of them goes into a message."""

    url: URL
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: bytes | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.url.host or "", self.url.port or 0)

    def to_bytes(self, *, keep_alive: bool, relay: Proxy | None = None) -> bytes:
        """Return the bytes to send, to the server itself or to a proxy that passes them on (RFC 9112, 3.2.2). Raises
        ValueError for a header that would not be a single line."""
        # The body is whole and has a length; two ways to frame it would be one too many.
        sent = {name: value for name, value in (self.headers or {}).items() if name.lower() != "transfer-encoding"}
        given = {name.lower() for name in sent}
        origin = "" if relay is None else f"{self.url.scheme}://{self.url.host_port_subcomponent}"
        lines = [f"{self.method} {origin}{self.url.raw_path_qs} HTTP/1.1"]
        own = self._own(keep_alive) | (relay.headers if relay is not None else {})
        lines += [f"{name}: {value}" for name, value in own.items() if name.lower() not in given]
        lines += [f"{name}: {value}" for name, value in sent.items()]
        if any(mark in line for line in lines for mark in "\r\n\0"):
            raise ValueError("a header of the request is not one line")
        return "\r\n".join((*lines, "", "")).encode() + (self.body or b"")

    def _own(self, keep_alive: bool) -> dict[str, str]:
        """Return the headers of every request, except those that it sets itself."""
        headers = {"Host": self.url.host_port_subcomponent or "", **_DEFAULTS}
        if self.body is not None:
            headers["Content-Type"] = "application/octet-stream"
        if self.body is not None or self.method not in _WITHOUT_BODY:
            headers["Content-Length"] = str(len(self.body or b""))
        if not keep_alive:
            headers["Connection"] = "close"
        return headers
