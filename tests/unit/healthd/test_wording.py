"""Excerpts of foreign texts: cut between words, and free of what a server echoes."""

import pytest

from healthd.wording import excerpt

ECHO = "Forbidden for {'Host': '127.0.0.1:9', 'DD-API-KEY': '***', 'User-Agent': '" + "x" * 200 + "'}"


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("no  such\n project", 40, "no such project"),
        ("the token has no scope org:read", 20, "the token has no …"),
        ("the token has, no", 14, "the token has …"),
        ("x" * 50, 20, "x" * 20 + " …"),
        (ECHO, 160, "Forbidden for …"),
        ('{"a": ' + "1, " * 90 + "}", 20, '{"a": 1, 1, 1, 1, 1 …'),
        ("bad {a}", 160, "bad {a}"),
    ],
)
def test_it_is_cut_between_words(text: str, most: int, shown: str) -> None:
    assert excerpt(text, most) == shown
    assert len(shown) <= most + 2
