"""The path of a request → the route that it stands for: identifiers in it are one `*`."""

from __future__ import annotations

import re
from functools import lru_cache

from healthd_gates.domain.strata import cleaned

PATH = "path"
"""The label of the path; any other label is a field of the line."""
_IDENTIFIER = re.compile(
    r"\d[\d._:-]*"  # numbers, dates, addresses
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[^/]*\d)[0-9a-zA-Z_=-]{16,}"  # tokens and hashes have a digit somewhere, words seldom
    r"|[^/]{41,}"
)


def path_of(request: str) -> str:
    """Return the path of a request line, of an address, or of a path with a query."""
    if not request.startswith("/"):
        parts = request.split(" ", 2)
        request = parts[1] if len(parts) > 1 else parts[0]
        if "://" in request[:10]:
            request = "/" + request.partition("://")[2].partition("/")[2]
    return request.partition("?")[0]


@lru_cache(maxsize=4096)
def route_of(path: str) -> str:
    """Return the route of a path without its query."""
    parts = path[:1000].split("/")
    return cleaned("/".join("*" if _IDENTIFIER.fullmatch(part) else part for part in parts))
