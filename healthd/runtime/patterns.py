"""Regular expressions of a configuration, searched within a deadline.

Python's own engine cannot be interrupted, and holds Python's lock while it searches: one pattern with two `.*` over a
page would block every answer of the daemon for minutes, in any thread. This engine accepts the same language, releases
the lock, and stops at its timeout.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import regex

_SECONDS = 1.0
_SHOWN = 80  # characters
_SIGNS = frozenset(".^$*+?{}[]\\|()")
_HARD = re.compile(r"\)[*+{?]|\(\?|\\[0-9gkLKRpPX]")  # groups that repeat, look around, recursion, references
_LONGEST = 10_000  # characters of a pattern; a longer one takes seconds to compile


class PatternTooSlowError(ValueError):
    """Search that was stopped by its timeout."""

    def __init__(self, pattern: str) -> None:
        shown = pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + "…"
        super().__init__(f"the pattern {shown!r} takes too long: leave out .* at its ends, and nested repetition")


def checked_pattern(text: str) -> str:
    """Return `text` when it is a regular expression. Raises ValueError."""
    import regex  # loaded for the first pattern: it takes 8 MB

    if len(text) > _LONGEST:
        raise ValueError(f"is a pattern of more than {_LONGEST} characters")
    try:
        _compiled(text)
    except RecursionError:
        raise ValueError("is not a regular expression: it is nested too deeply") from None
    except (regex.error, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


def is_found(pattern: str, text: str, seconds: float = _SECONDS) -> bool:
    """True if the pattern is found anywhere in the text. Raises PatternTooSlowError after so many seconds of work."""
    return _try(_compiled(pattern).search, pattern, text, seconds)


@lru_cache(maxsize=8192)
def fits_whole(pattern: str, text: str) -> bool:
    """True if the pattern matches the whole of a short text that occurs often. Raises PatternTooSlowError."""
    return _try(_compiled(pattern).fullmatch, pattern, text, _SECONDS)


def whole_test(pattern: str, seconds: float) -> Callable[[str], bool]:
    """Return a test of whole texts by a pattern, for very many of them. It raises PatternTooSlowError after so many
    seconds of work on one; the test of a pattern that cannot take long costs a fraction of another's."""
    search = _compiled(pattern).fullmatch
    prefix, rest = _begins_with(pattern)
    if rest == ".*":
        return lambda text: text.startswith(prefix) and "\n" not in text
    if _is_quick(pattern):
        return lambda text: text.startswith(prefix) and search(text) is not None

    def fits(text: str) -> bool:
        if not text.startswith(prefix):
            return False
        try:
            return search(text, timeout=seconds) is not None
        except TimeoutError:
            raise PatternTooSlowError(pattern) from None

    return fits


def _begins_with(pattern: str) -> tuple[str, str]:
    """Return the text with which every match begins, and the rest of the pattern."""
    if "|" in pattern or "(?" in pattern:
        return "", pattern
    end = next((place for place, sign in enumerate(pattern) if sign in _SIGNS), len(pattern))
    end -= end > 0 and pattern[end : end + 1] in ("*", "?", "{")  # it may occur not once
    return pattern[:end], pattern[end:]


def _is_quick(pattern: str) -> bool:
    """True if no text makes a match of the whole take much longer than its length: one part repeats at most, which is
    no group, and there are few ways through the rest."""
    counts = {sign: pattern.count(sign) for sign in "*+{?(|"}
    return (
        counts["*"] + counts["+"] + counts["{"] <= 1
        and max(counts["?"], counts["("]) <= 2
        and counts["|"] <= 20
        and _HARD.search(pattern) is None
    )


def _try(search: Any, pattern: str, text: str, seconds: float) -> bool:
    try:
        return search(text, timeout=seconds, concurrent=True) is not None
    except TimeoutError:
        raise PatternTooSlowError(pattern) from None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> regex.Pattern[str]:
    import regex

    return regex.compile(pattern)
