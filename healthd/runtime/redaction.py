"""Keeps secrets out of everything that leaves the process. The one place that knows their values."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretStr

MASK = "***"
_SHORTEST = 4  # a shorter value would blank out ordinary words
_SENSITIVE = r"(?:password|passwd|pwd|pass|secret|token|api[_-]?key|authorization|credential|signature)"
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@\"'<>]*@", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?P<name>\b[\w-]*{_SENSITIVE}\b[\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;&)}}\]]+", re.IGNORECASE
)


class Redactor:
    """Replaces known secrets, and whatever looks like a credential, by `***`.

    A secret is known in every form in which it could come back: as given, quoted for a URL, escaped as in a repr or
    in JSON, in base64, and, for a URI, its user part, its password and the sensitive parts of its query alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets; what was known stays known, since an old value may still sit in an exception."""
        for secret in secrets:
            self._known.update(form for form in _forms(secret) if len(form) >= _SHORTEST)
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        if not text:
            return text
        text = _USERINFO.sub(rf"\g<scheme>{MASK}@", self.known(text))
        return _NAMED.sub(rf"\g<name>{MASK}", text)

    def known(self, text: str) -> str:
        """Replaces known secrets alone, in a text of our own."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def deeply(self, value: Any) -> Any:
        """A value as plain JSON, with every text in it cleaned, keys too; NaN and infinities, which JSON does not
        know, become null."""
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else None
            case str():
                return self(str(value))
            case Mapping():
                return {self(str(key)): self.deeply(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.deeply(item) for item in value]
        return self(str(value))


def secrets_of(value: object) -> Iterable[str]:
    """Every secret that a settings model, or a container of models, holds."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_of(item)


def _forms(secret: str) -> Iterable[str]:
    for part in {secret, secret.strip(), *_parts_of_uri(secret)}:
        for plain in {part, unquote(part)}:
            yield from (plain, quote(plain, safe=""), quote(plain), quote_plus(plain), quote_plus(plain).lower())
            yield from (repr(plain)[1:-1], json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1])
            yield from (_base64(plain), _base64(plain + ":"))


def _parts_of_uri(text: str) -> Iterable[str]:
    _, separator, rest = text.partition("://")
    if not separator:
        return
    # A password may hold an unquoted slash: so both what a parser takes for the user part, and all up to the last @.
    for candidate in (re.split(r"[/?#]", rest)[0], re.split(r"[?#]", rest)[0], rest):
        userinfo, at, _ = candidate.rpartition("@")
        if at:
            yield from (userinfo, userinfo.partition(":")[2])
    try:
        query = urlsplit(text).query
    except ValueError:  # not a URI after all
        return
    for name, value in parse_qsl(query):
        if re.search(rf"{_SENSITIVE}|key|sig", name, re.IGNORECASE):
            yield value


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogateescape")).decode().rstrip("=")
