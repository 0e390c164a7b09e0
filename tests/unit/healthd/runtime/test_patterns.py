"""Patterns of a configuration: a bad one is refused, and a slow one is given up while others run."""

import re
import threading
import time
from contextlib import suppress

import pytest

from healthd.runtime.patterns import PatternTooSlowError, checked_pattern, fits_whole, is_found, whole_test

PAGE = '{"a": "' + "x y z all bad " * 18_000 + '"}'


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is not a regular expression: missing )"),
        ("a{99999999999999999999}", "is not a regular expression: repeat count too big"),
        ("(" * 5000, "is not a regular expression: it is nested too deeply"),
        ("a" * 10_001, "is a pattern of more than 10000 characters"),
    ],
)
def test_bad_patterns(pattern: str, why: str) -> None:
    """Whatever the engine raises about them."""
    with pytest.raises(ValueError, match=re.escape(why)):
        checked_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("all good", "it is all good here", True),
        ("(?i)ALL.GOOD", "all good", True),
        ("^ok$", "ok\n", True),
        ("^(?!.*error).*ok", "ok, no error", False),
        (r"version (\d+)\.\1", "version 3.3", True),
        (".*all good.*", PAGE, False),
    ],
)
def test_the_language_is_pythons(pattern: str, text: str, found: bool) -> None:
    """Lookahead and references back among it; and the pattern that people write who think of whole texts is quick."""
    assert is_found(pattern, text) is found
    assert found is (re.search(pattern, text[:2000]) is not None)


def test_a_slow_pattern_is_given_up_while_others_run() -> None:
    """It neither takes the whole day nor keeps other threads from running."""
    ticks, over = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.wait(0.005):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.process_time()
    with pytest.raises(PatternTooSlowError, match=r"the pattern '\(\.\*\).*' takes too long"):
        is_found("(.*)(.*)(.*)(.*)[!?]$", PAGE, 0.3)
    assert time.process_time() - began < 3
    over.set()
    thread.join()
    assert ticks > 5


def test_whole_texts() -> None:
    """As a label's value in PromQL."""
    assert fits_whole("api|web", "api")
    assert not fits_whole("api|web", "api2")


@pytest.mark.parametrize(
    "pattern",
    [
        "/api/.*",
        "401|5..",
        "/a/[0-9]+",
        "ab?",
        "ab*",
        "(a|b)c",
        "/x{2}",
        "(a|b)*c",
        r"/\d+/\d+",
        "^/a$",
        "(?i)/API/.*",
        "a.*b",
        "",
    ],
)
def test_a_test_for_many_texts_finds_what_the_pattern_does(pattern: str) -> None:
    """Whatever it is shortened to."""
    fits = whole_test(pattern, 1.0)
    texts = [
        "/api/",
        "/api/x",
        "/API/x",
        "/api/\nx",
        "401",
        "500",
        "5.",
        "/a/17",
        "/a/",
        "a",
        "ab",
        "abb",
        "ac",
        "bc",
        "c",
    ]
    texts += ["/xx", "/x", "aabc", "/1/2", "/a", "axb", ""]
    assert [fits(text) for text in texts] == [fits_whole(pattern, text) for text in texts]


@pytest.mark.parametrize(
    "pattern", ["(a|a)*b", "(a*)*b", "a*a*a*a*a*a*b", "a?" * 40 + "a" * 40, "(a|aa)+b", r"(a+)\1+b"]
)
def test_a_test_for_many_texts_ends_in_time(pattern: str) -> None:
    with suppress(PatternTooSlowError):
        assert not whole_test(pattern, 0.02)("a" * 39 + "!")
