"""Drivers' words for a connection that was not made, as they were seen, and what people read of them."""

import pytest

from healthd.checks.refused import in_words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Error 111 connecting to 127.0.0.1:1. Connect call failed ('127.0.0.1', 1).", "nobody listens on 127.0.0.1:1"),
        (
            "Error connecting to localhost:1. Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
            "[Errno 111] Connect call failed ('127.0.0.1', 1).",
            "nobody listens on localhost:1",
        ),
        (
            "Error 113 connecting to 10.0.0.1:6379. Connect call failed ('10.0.0.1', 6379).",
            "no connection to 10.0.0.1:6379: No route to host",
        ),
        (
            "Error -2 connecting to cache.invalid:6379. Name or service not known.",
            "the name cache.invalid was not resolved: Name or service not known",
        ),
        ("Error 2 connecting to /run/r.sock. No such file or directory.", "there is no socket /run/r.sock"),
        ("h:1: [Errno 111] Connection refused", "nobody listens on h:1"),
        ("h:1: [Errno 111] Connect call failed ('::1', 1, 0, 0)", "nobody listens on h:1"),
        (
            "db.invalid:27017: [Errno -2] Name or service not known",
            "the name db.invalid was not resolved: Name or service not known",
        ),
        (
            "[Errno -2] Name or service not known",
            "a name of its address was not resolved: Name or service not known",
        ),
        ("[Errno 104] Connection reset by peer", "no connection: Connection reset by peer"),
        ("Connection closed by server.", "Connection closed by server."),
    ],
)
def test_in_words(text: str, said: str) -> None:
    assert in_words(text) == said
