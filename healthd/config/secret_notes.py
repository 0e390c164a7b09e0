"""Notes on secrets that are ordinary words: whoever reads a text knows what its mask hides.

They are no part of the notes that the daemon logs: there the name of a check that has such a password would be masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

from healthd.runtime.redaction import names_in, secrets_of, words_of
from healthd.runtime.secret_forms import is_ordinary_word, parts_of_address

if TYPE_CHECKING:
    from healthd.config.settings import Settings

_ORDINARY = (
    "a password in it is an ordinary word, soon guessed, and masked wherever that word stands: choose a long random one"
)


def notes_on_secrets(settings: Settings) -> Iterator[str]:
    """Yield a note for each part of the configuration that has such a secret, without saying which word it is."""
    names = frozenset(names_in(settings))
    public = names | words_of(names)
    for place, part in _parts(settings):
        whole = secrets_of(part, public)
        if any(is_ordinary_word(it, public) for secret in whole for it in (secret, *parts_of_address(secret, public))):
            yield f"{place}: {_ORDINARY}"


def _parts(settings: Settings) -> Iterator[tuple[str, object]]:
    for section in type(settings).model_fields:
        value = getattr(settings, section)
        if isinstance(value, dict):
            yield from ((f"{section}.{name}", item) for name, item in value.items() if isinstance(item, BaseModel))
        else:
            yield section, value
