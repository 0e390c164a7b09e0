"""Messages of syslog (RFC 3164 and 5424) → the line of the log in each, and their framing on a stream (RFC 6587)."""

from __future__ import annotations

import re

from healthd_gates.sources.access_log.follower import LONGEST_LINE

_RFC5424 = re.compile(
    r"<\d{1,3}>1 \S++ \S++ \S++ \S++ \S++ (?:-|(?:\[(?:[^\]\\]++|\\.)*+\])++) ?(?:\xef\xbb\xbf)?(?P<line>.*)\Z",
    re.DOTALL,
)
# The time and the host may be missing, as with NGINX's `nohostname`, and from HAProxy on the same host.
_RFC3164 = re.compile(
    r"<\d{1,3}>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |\d{4}-\S++ )?(?:[^\s:\[]++ )?[^\s:\[]{1,64}+(?:\[[^\]]*+\])?: ?"
    r"(?P<line>.*)\Z",
    re.DOTALL,
)
_COUNT = re.compile(rb"(\d{1,7}) ")


def line_of(message: bytes) -> str:
    """Return the line within a message; all of what is no message of syslog."""
    text = message.decode("latin-1").rstrip("\r\n\0")
    found = _RFC5424.match(text) or _RFC3164.match(text)
    return found["line"] if found is not None else text


class Frames:
    """The messages of one connection: each with its length before it, or ended by a line feed."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete. Raises ValueError for one that is too long."""
        self._rest += data
        found: list[bytes] = []
        while self._rest:
            counted = _COUNT.match(self._rest)
            if counted is not None:
                end = counted.end() + int(counted[1])
                if int(counted[1]) > LONGEST_LINE:
                    raise ValueError("a message is too long")
                if len(self._rest) < end:
                    break
                message, self._rest = self._rest[counted.end() : end], self._rest[end:]
            else:
                message, newline, rest = self._rest.partition(b"\n")
                if not newline:
                    break
                self._rest = rest
            if message:
                found.append(message)
        if len(self._rest) > LONGEST_LINE + 10:
            raise ValueError("a message is too long")
        return found
