"""External address of the daemon."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252})(?::[0-9]{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+){1,8}")
_URL = re.compile(rf"https?://{HOST.pattern}(?:{PREFIX.pattern})?")


def _external(url: str) -> str:
    shortened = url.rstrip("/")
    if not _URL.fullmatch(shortened):
        raise ValueError("write a whole address without user, query or fragment: https://healthd.example.com")
    return shortened


ExternalUrl = Annotated[str, AfterValidator(_external)]
