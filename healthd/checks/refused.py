"""The words of drivers for a connection that was not made, in plain words: without the system's numbers of errors.

A driver keeps the text of an error and not always its cause, so the text is what is read.
"""

from __future__ import annotations

import errno
import os
import re

_REDIS = re.compile(r"^Error (?:(?P<code>-?\d+) )?connecting to (?P<place>.+?)\. (?P<why>.*?)\.?$")
_NUMBERED = re.compile(r"^(?:(?P<place>\S+): )?\[Errno (?P<code>-?\d+)\] (?P<why>.*)$")
_NUMBER = re.compile(r"\[Errno (-?\d+)\]")


def in_words(text: str) -> str:
    """Return a driver's line about a connection that was not made as a sentence, and any other line as it is."""
    found = _REDIS.match(text) or _NUMBERED.match(text)
    if found is None:
        return text
    code = found["code"] or next(iter(_NUMBER.findall(found["why"])), None)
    return text if code is None else _sentence(int(code), found["place"], found["why"])


def _sentence(code: int, place: str | None, why: str) -> str:
    if code < 0:  # a number of getaddrinfo
        name = "a name of its address" if place is None else f"the name {place.rsplit(':', 1)[0]}"
        return f"{name} was not resolved: {_NUMBER.sub('', why).strip()}"
    why = os.strerror(code) if code in errno.errorcode else why
    if place is None:
        return f"no connection: {why}"
    if code == errno.ECONNREFUSED:
        return f"nobody listens on {place}"
    if code == errno.ENOENT:
        return f"there is no socket {place}"
    return f"no connection to {place}: {why}"
