"""The patterns of windows, routes, tokens and hooks."""

import pytest

from healthd.labels import matches


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("app", "a*", True),
        ("app", "*", True),
        ("app", "a*p", True),
        ("app", "ap?", False),
        ("ap?", "ap?", True),
        ("app", "[a]pp", False),
        ("[a]pp", "[a]*", True),
        ("a[!b", "a[!b", True),
        ("App", "app", False),
    ],
)
def test_only_the_star_is_special(text: str, pattern: str, fits: bool) -> None:
    assert matches(text, (pattern,)) is fits
