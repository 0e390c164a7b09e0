"""Address of Apprise as a secret: which parts of it are, by what its service says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from apprise.manager_plugins import NotificationManager
from apprise.plugins import url_to_dict

from healthd.runtime.receiver_address import ReceiverAddress
from healthd.runtime.secret_forms import is_secret_name

# Services call some keys no secret, so of what they call none only this is shown: numbers, regions of AWS, and mail
# addresses.
_READABLE = re.compile(r"[-+(]?\d[\d()-]*|[a-z]{2}(-[a-z]+)+-\d|[^\s@/:]+@[^\s@/:]+\.[^\s@/:]+")
_PLACES = frozenset({"host", "path", "fullpath"})  # of an address, whatever stands there
_BETWEEN = re.compile(r"[,\s]+")


class AppriseAddress(ReceiverAddress):
    """Secret address whose ids, phone numbers, mail addresses and regions are none."""

    @property
    def secrets(self) -> Iterable[str]:
        """Parts that the service calls private, and all else that looks like a key."""
        private, readable = _parts_of(self.get_secret_value())
        yield from private
        yield from (part for part in super().secrets if not _words_of(unquote(part)) <= readable)


def _parts_of(address: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return what is private in an address, and which words in it are readable, as its service understands it."""
    understood: Mapping[str, Any] = url_to_dict(address) or {}  # type: ignore[no-untyped-call]
    plugin = NotificationManager()[understood["schema"]] if understood else None  # type: ignore[no-untyped-call]
    tokens = {**plugin.template_args, **plugin.template_tokens} if plugin is not None else {}
    private: set[str] = set()
    readable: set[str] = set()
    for name, token in tokens.items():
        values = set(_texts(understood.get(str(token.get("map_to", name)))))
        if token.get("private"):
            private |= values
        elif not is_secret_name(name) and not {name, token.get("map_to")} & _PLACES:
            readable |= {word for value in values for word in _words_of(value) if _READABLE.fullmatch(word)}
    return frozenset(private), frozenset(readable - private)


def _words_of(text: str) -> set[str]:
    return set(_BETWEEN.split(text))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (value, unquote(value))
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
