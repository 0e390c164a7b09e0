"""Answers that are made once and sent to many: their bytes, plain and compressed, with a mark of their content."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from aiohttp import hdrs, web


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes of an answer."""

    body: bytes
    compressed: bytes
    headers: Mapping[str, str]

    def answer(self, request: web.Request) -> web.Response:
        """Return the answer in an encoding that this caller accepts; 304 where it has the same already."""
        if request.headers.get(hdrs.IF_NONE_MATCH) == self.headers[hdrs.ETAG]:
            return web.Response(status=304, headers=self.headers)
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(body=self.compressed, headers={**self.headers, hdrs.CONTENT_ENCODING: "gzip"})
        return web.Response(body=self.body, headers=self.headers)


def kept(text: str, headers: Mapping[str, str]) -> Kept:
    """Return the bytes of a text, with headers."""
    body = text.encode()
    vary = ", ".join(filter(None, (headers.get(hdrs.VARY), hdrs.ACCEPT_ENCODING)))
    # A weak one: the same text is sent in two encodings.
    mark = f'W/"{sha256(body).hexdigest()[:24]}"'
    return Kept(body, gzip.compress(body, mtime=0), {**headers, hdrs.VARY: vary, hdrs.ETAG: mark})
