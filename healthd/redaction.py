"""Keeps secrets out of everything that leaves the process. The one place that knows their values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretStr

MASK = "***"
_SHORTEST = 4  # a shorter value would blank out ordinary words
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s/@:]*):[^\s/]*@", re.IGNORECASE)
_NAMED = re.compile(
    r"(?P<name>\b(?:password|passwd|pwd|secret|token|api[_-]?key|authorization)\b[\"']?\s*[=:]\s*[\"']?)"
    r"(?:(?:bearer|basic)\s+)?[^\s\"',;&]+",
    re.IGNORECASE,
)


class Redactor:
    """Replaces known secrets, and whatever looks like a credential, by `***`.

    A secret is known in every form in which it could come back: as given, URL-quoted, and, for a URI, its user
    part and password alone.
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
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        text = _USERINFO.sub(rf"\g<scheme>{MASK}@", text)
        return _NAMED.sub(rf"\g<name>{MASK}", text)


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
    parts = [secret]
    if "://" in secret:
        _, _, rest = secret.partition("://")
        userinfo, at, _ = rest.rpartition("@")
        if at:
            _, _, password = userinfo.partition(":")
            parts += [userinfo, password]
        parts += [pair.partition("=")[2] for pair in _query(secret) if "pass" in pair.lower()]
    for part in parts:
        yield from (part, unquote(part), quote(part, safe=""), quote_plus(part))


def _query(uri: str) -> list[str]:
    try:
        return urlsplit(uri).query.split("&")
    except ValueError:  # not a URI after all
        return []
