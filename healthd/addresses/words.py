"""Parameters behind the `?` of an address: split, join, and the notes on those that are dropped."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from healthd.nearest import ALMOST_THE_SAME, nearest

_NAME = re.compile(r"[A-Za-z][\w.-]{0,62}")
APPLICATIONS = "it speaks to the application's own driver, not to the server"


@dataclass(frozen=True, slots=True)
class Word:
    """Parameter `name=value` of an address, with percent-encoding removed."""

    name: str
    value: str


def names(text: str) -> frozenset[str]:
    """Return the names in a text, which are separated by spaces."""
    return frozenset(text.split())


def split(uri: str, separators: str = "&") -> tuple[str, list[Word]]:
    """Return the part before the `?`, and the parameters behind it."""
    head, _, query = uri.partition("?")
    pieces = re.split(f"[{separators}]", query.partition("#")[0])
    pairs = (piece.partition("=") for piece in pieces if piece)
    return head, [Word(unquote(name), unquote(value)) for name, _, value in pairs]


def joined(head: str, words: Iterable[Word]) -> str:
    """Join the address again. Parameters without a value have no effect, and are left out."""
    query = "&".join(f"{quote(word.name)}={quote(word.value, safe='')}" for word in words if word.value)
    return f"{head}?{query}" if query else head


def notes(aside: Sequence[str], why: Mapping[str, str], known: Collection[str]) -> tuple[str, ...]:
    """Return a sentence for each parameter that is dropped. `why` gives the known reasons; a name that no driver would
    use may be part of a password that was not percent-encoded, and is not repeated."""
    return tuple(dict.fromkeys(_note(name, why, known) for name in aside))


def _note(name: str, why: Mapping[str, str], known: Collection[str]) -> str:
    if not _NAME.fullmatch(name):
        return "something behind the ? is no name=value, and is set aside"
    reason = why.get(name.lower())
    if reason is not None:
        return f"{name} is set aside: {reason}"
    alike = nearest(name, known, ALMOST_THE_SAME)
    return f"{name} is set aside: the driver knows no such word{f'; did you mean {alike}?' if alike else ''}"


def refuse_misspelt(aside: Iterable[str], guarding: Collection[str]) -> None:
    """Raise ValueError for a name that resembles one of `guarding`: without it a connection would be less safe than its
    address asks for."""
    for name in aside:
        if _NAME.fullmatch(name) and (alike := nearest(name, guarding, ALMOST_THE_SAME)):
            raise ValueError(f"has the word {name}, which nobody knows: did you mean {alike}?")
