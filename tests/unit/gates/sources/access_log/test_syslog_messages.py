"""Messages of syslog as they are sent, and whatever else comes."""

from __future__ import annotations

import pytest

from healthd_gates.sources.access_log.follower import LONGEST_LINE
from healthd_gates.sources.access_log.syslog_messages import Frames, line_of


@pytest.mark.parametrize(
    "head",
    [
        "<190>Nov 26 13:00:00 web1 nginx: ",  # NGINX, as its documentation has it
        "<190>Nov  6 13:00:00 nginx: ",  # with nohostname
        "<134>Nov 26 13:00:00 haproxy[14389]: ",  # HAProxy's `format local`
        "<134>Nov 26 13:00:00 lb01 haproxy[14389]: ",  # its rfc3164
        "<134>1 2026-11-26T13:00:00.000000+00:00 lb01 haproxy 14389 - - ",  # its rfc5424
        # RFC 5424, 6.5
        '<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [a@32473 iut="3" e="\\]"][b@1 c="d"] \xef\xbb\xbf',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "line", ['1.1.1.1:2 [26/Nov/2026:13:00:00.1] "GET /a: b HTTP/1.1" 200', '{"status":"200"}', ""]
)
def test_the_line_in_a_message(head: str, line: str) -> None:
    """Whatever stands before it, and with a line's end or not."""
    assert line_of(f"{head}{line}\n".encode("latin-1")) == line


@pytest.mark.parametrize(
    "message", ["", "x", "<", "<190>", "<190>1 ", "<190>" + "a" * 60_000, "<1>1 a b c d e [" * 4000]
)
def test_what_is_no_message_stays_as_it_is(message: str) -> None:
    """It is a line that does not fit; reading it costs no time."""
    assert line_of(message.encode()) == message


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_both_framings_however_the_stream_is_cut(size: int) -> None:
    """With the length before each, or a line feed after it."""
    stream, frames, found = b"5 <1>a\n\n<2>b\n6 <3>c d<4>e\n", Frames(), list[bytes]()
    for at in range(0, len(stream), size):
        found += frames.take(stream[at : at + size])
    assert found == [b"<1>a\n", b"<2>b", b"<3>c d", b"<4>e"]


@pytest.mark.parametrize("data", [b"9999999 x", b"x" * (LONGEST_LINE + 100)])
def test_a_message_that_is_too_long(data: bytes) -> None:
    """Takes no memory."""
    with pytest.raises(ValueError, match="too long"):
        Frames().take(data)
