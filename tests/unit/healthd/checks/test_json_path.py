"""Paths into a JSON document."""

from typing import Any

import pytest

from healthd.checks.json_path import ABSENT, follow, path_of, steps_of

DOCUMENT = {"a": {"b.c": [10, {"d": 20}]}, "1": "one", "": 5}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", DOCUMENT["a"]),
        ("1", "one"),
        ("/a/b.c/0", 10),
        ("/a/b.c/1/d", 20),
        ("/a/b.c/-1/d", 20),
        ("/a/b.c/-2", 10),
        ("/a/b.c/-3", ABSENT),
        ("/a/b.c/2", ABSENT),
        ("/a/b.c/x", ABSENT),
        ("/a/b.c/\N{SUPERSCRIPT TWO}", ABSENT),
        ("/a/b.c/0/d", ABSENT),
        ("a.b.c", ABSENT),
        ("", DOCUMENT),
    ],
)
def test_a_path_leads_to_its_value_or_nowhere(path: str, value: Any) -> None:
    """A negative place counts from the end; only digits of ASCII are places."""
    assert follow(DOCUMENT, steps_of(path)) is value


@pytest.mark.parametrize("steps", [["http", "requests"], ["a.b", "0"], ["a/b~", "c"], ["", "x"], ["items", "-1", "n"]])
def test_a_path_is_written_as_it_is_read(steps: list[str]) -> None:
    assert steps_of(path_of(steps)) == steps
