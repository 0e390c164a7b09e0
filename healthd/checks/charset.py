"""Character set of an HTTP body, found as browsers do: by byte order mark, by header, by the page's own declaration."""

from __future__ import annotations

import codecs
import re
from email.message import Message

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_META = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([a-z0-9_:.-]{1,40})", re.IGNORECASE)
_HEAD = 1024  # bytes in which a page must name its character set
_WIDER = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}  # as browsers do


def decoded(body: bytes, content_type: str) -> str:
    """Return the text; bytes that do not fit the character set are replaced."""
    name = next((name for mark, name in _MARKS.items() if body.startswith(mark)), None)
    name = name or _named(content_type) or (_said(body) if "html" in content_type else None) or "utf-8"
    try:
        return body.decode(_WIDER.get(name.lower(), name), errors="replace")
    except (LookupError, ValueError):  # an unknown character set, or one that is not for text
        return body.decode(errors="replace")


def _named(content_type: str) -> str | None:
    header = Message()
    header["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    name = header.get_content_charset()
    return name or None


def _said(body: bytes) -> str | None:
    found = _META.search(body[:_HEAD])
    return found[1].decode() if found else None
