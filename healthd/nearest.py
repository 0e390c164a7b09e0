"""Find the valid word nearest to an invalid one: for messages that suggest what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.6
_SHORT = 0.55  # such as maks for max
_ABBREVIATION = 3  # characters from which the beginning of a word is taken for it
_ENDING = 4  # characters from which the last word of a name is taken for it, such as wait for group_wait
_STEM = 5  # characters that two words of one stem begin with, such as notify and notifiers
_MOST_LISTED = 24
ALMOST_THE_SAME = 0.8
"""Minimum similarity of words where a wrong guess would do harm."""


def nearest(word: str, known: Iterable[str], alike: float = _ALIKE) -> str | None:
    """Return the known word most similar to this one, that begins or ends so, or that has the same stem; upper and
    lower case, `-` and `_` make no difference. None where none is `alike`."""
    plain = {_plain(each): each for each in known}
    written = _plain(word[:64])
    found = get_close_matches(written, plain, n=1, cutoff=max(alike, ALMOST_THE_SAME))
    if not found and len(written) >= _ABBREVIATION and alike <= _ALIKE:  # such as prom
        found = sorted((each for each in plain if each.startswith(written)), key=len)
    if not found and len(written) >= _ENDING and alike <= _ALIKE:
        found = sorted((each for each in plain if each.endswith(f"_{written}")), key=len)
    if not found and len(written) >= _STEM and alike <= _ALIKE:
        found = sorted((each for each in plain if each[:_STEM] == written[:_STEM]), key=len)
    if not found and alike <= _ALIKE:  # a slip seldom is in the first letter, and seldom changes the length much
        like = [each for each in plain if each[:1] == written[:1] and abs(len(each) - len(written)) <= 1]
        found = get_close_matches(written, like, n=1, cutoff=_SHORT)
    if not found and len(written) < _ABBREVIATION:  # such as v2 for 2
        found = get_close_matches(written, plain, n=1, cutoff=alike)
    return plain[found[0]] if found else None


def not_under(section: str, name: str, known: Iterable[str]) -> str:
    """Return text such as `'trafic-back', which is not under actions; did you mean traffic-back?`, or with the names
    that are there where none is alike."""
    names = list(known)
    alike = nearest(name, names)
    return f"{name!r}, which is not under {section}; " + (f"did you mean {alike}?" if alike else there_are(names))


def there_are(known: Iterable[str]) -> str:
    """Return `there are: cart, search`, in the order of the alphabet, and of many the first and how many more."""
    names = sorted(known)
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"there are: {', '.join(names[:_MOST_LISTED])}{more}" if names else "nothing is there"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean interval?` to append to a sentence; nothing where no known word is similar."""
    found = nearest(word, known)
    return f" Did you mean {found}?" if found is not None else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
