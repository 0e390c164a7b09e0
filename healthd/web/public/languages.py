"""Language of an answer: the one that was asked for by name, or else the one that the visitor's browser accepts."""

from __future__ import annotations

from collections.abc import Sequence

from healthd.config.public_page import Language

_MOST = 20  # languages of a header that are looked at


def chosen(accepted: str, offered: Sequence[Language], named: str | None = None) -> Language:
    """Return one of the offered languages: the one that is `named`, or else what `Accept-Language` prefers (RFC 9110,
    12.5.4), or else the first. A region is left out: `de-AT` is answered in German."""
    for language in offered:
        if language == named:
            return language
    best: tuple[float, int] | None = None
    for part in accepted.split(",", _MOST)[:_MOST]:
        tag, _, weight = part.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        quality = _quality(weight)
        for place, language in enumerate(offered):
            if quality > 0 and primary == language and (best is None or quality > best[0]):
                best = quality, place
    return offered[best[1] if best else 0]


def _quality(text: str) -> float:
    name, _, number = text.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(number[:8])
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
