"""Redact secrets from everything that leaves the process. The one place that knows their values.

Every foreign text is redacted here, on the event loop: the work is linear in the text's length, whatever it contains
and however many secrets are known.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Self

from pydantic import BaseModel, Secret, SecretStr

from healthd.runtime.receiver_address import ReceiverAddress
from healthd.runtime.secret_forms import SHORTEST, forms_of, is_public, keys_in, parts_of_address
from healthd.runtime.web_address import WebAddress

MASK = "***"
_SHORTEST_CUT = 8  # characters of a secret that was cut off; fewer could be an ordinary word's
_IN_SCHEME = re.compile(r"[a-z0-9+.-]*(?::|%3a)(?:/|%2f|\\/){2}")  # what is before it in an address is no secret
_CUT = re.compile(r"$|[\n\"'<]|…|\.\.\.")  # where a text was cut: at its end, at the end of a line or a quotation
# Characters that move a terminal's cursor, set its title, or change the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SENSITIVE = r"(?:password|passwd|pwd|pass|secret|token|api[_-]?key|authorization|credential|signature)"
# Neither begins with a run of characters, which would be tried again from each of them.
_USERINFO = re.compile(r"(?<=[a-z0-9+.-])://[^\s/@\"'<>]*@", re.IGNORECASE)
_QUOTED_USERINFO = re.compile(rf"{_USERINFO.pattern}(?<!://user:password@)", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?P<name>{_SENSITIVE}\b[\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;&)}}\]]+", re.IGNORECASE
)
# Keys that say by their beginning what they are: healthd's own tokens, Stripe's, SendGrid's, GitHub's and Slack's.
_KEYS = re.compile(
    r"\b(?:hd_[\w-]{40,}|[sr]k_(?:live|test)_\w{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|gh[oprsu]_\w{30,}|xox[abprs]-[\w-]{10,})",
    re.ASCII,
)
_OPTION = re.compile(rf"--?(?:[\w-]*[-_])?{_SENSITIVE}", re.IGNORECASE)
# Options after which, or in the same word, programs take a password; their names begin with the key.
_SHORT_OPTIONS = {
    "curl": ("-u", "--user", "-U", "--proxy-user"),
    "ldap": ("-w",),
    "mariadb": ("-p",),
    "mongo": ("-p",),
    "mysql": ("-p",),
    "redis-cli": ("-a",),
    "sshpass": ("-p",),
    "valkey-cli": ("-a",),
}
_PORT_OR_PATH = re.compile(r"[/.~]|[\d.:/-]+$")


class Redactor:
    """Replaces known secrets, and any text that looks like a credential, by `***`, and drops control characters.

    A secret is recognised in every form in which it could appear (see `secret_forms`), in upper and lower case, and
    where its end was cut off.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._names: frozenset[str] = frozenset()
        self._forms: list[str] = []  # sorted, so that forms with the same beginning are adjacent
        self._heads: frozenset[str] = frozenset()
        self._longest = 0
        self.learn(secrets)

    @classmethod
    def of(cls, settings: object) -> Self:
        """Return one that knows the secrets of a settings model, or of a container of models."""
        made = cls()
        made.learn_from(settings)
        return made

    def learn_from(self, settings: object) -> None:
        """Add the secrets of a settings model. A word by which it names a check, a service or the like, such as
        `checkout`, is none in the path of an address: that name is shown everywhere."""
        names = frozenset(names_in(settings))
        self._names |= names
        public = names | words_of(names)
        self.learn(secrets_of(settings, public), public)

    def learn(self, secrets: Iterable[str], public: Container[str] = ()) -> None:
        """Add secrets; earlier ones are kept, since an old value may still be in an exception. Of addresses `public`
        words in their path are no secrets."""
        forms = (form for secret in secrets for form in map(_folded, forms_of(secret, public)))
        found = {form for form in forms if len(form) >= SHORTEST}
        self._forms = sorted(found.union(self._forms))
        self._heads = frozenset(form[:SHORTEST] for form in self._forms)
        self._longest = max(map(len, self._forms), default=0)

    def __call__(self, text: str) -> str:
        if not text:
            return text
        text = _USERINFO.sub(f"://{MASK}@", self.known(_CONTROLS.sub("", text)))
        return _KEYS.sub(MASK, _NAMED.sub(rf"\g<name>{MASK}", text))

    def known(self, text: str) -> str:
        """Replace only known secrets, in a text of our own."""
        heads, folded = self._heads, _folded(text)
        kept: list[str] = []
        done = at = 0
        while at <= len(folded) - SHORTEST:
            length = self._length(folded, at) if folded[at : at + SHORTEST] in heads else 0
            if length:
                kept += (text[done:at], MASK)
                done = at + length
            at += length or 1
        return "".join((*kept, text[done:])) if kept else text

    def own(self, text: str) -> str:
        """Redact a text of our own that may quote what is configured, such as the reason of a refusal: known secrets,
        and keys and users of addresses by their look. Its words are ours: `password: no such option` names none, nor
        does the address of an example."""
        return _KEYS.sub(MASK, _QUOTED_USERINFO.sub(f"://{MASK}@", self.known(_CONTROLS.sub("", text))))

    def name(self, text: str) -> str:
        """Redact a text in a place for the name of something configured: there such a name is no secret, though a
        password is the same word. A mask would hide whose line it is, and tell the password by its place."""
        return text if text in self._names else self(text)

    def words(self, words: Sequence[str]) -> list[str]:
        """Redact the words of a command: known secrets, `--password=…`, the word after `--password`, what the program
        takes for one by a short option, and the word after `-p` where it can be neither a port nor a path."""
        program = PurePath(words[0]).name if words else ""
        short = next((options for name, options in _SHORT_OPTIONS.items() if program.startswith(name)), ())

        def shown(before: str, word: str) -> str:
            if not word.startswith("-"):
                is_one = before == "-p" and not _PORT_OR_PATH.match(word)
                is_secret = is_one or before in short or _OPTION.fullmatch(before)
                return MASK if is_secret else self(word)
            held = next((option for option in short if word.startswith(option) and word != option), None)
            if held is None or (word.startswith("--") and not word.startswith(f"{held}=")):
                return self(word)
            return f"{held}={MASK}" if word.startswith("--") else f"{held}{MASK}"

        return [shown(before, word) for before, word in zip(("", *words), words, strict=False)]

    def _length(self, folded: str, at: int) -> int:
        """Return the length of the longest secret at a position, whole or cut off; 0 where there is none."""
        forms, window = self._forms, folded[at : at + self._longest]
        rest = window
        while index := bisect_right(forms, rest):
            form = forms[index - 1]  # what is longer and begins the text would stand between this and the text
            if rest.startswith(form):
                return len(form)
            rest = _shared_beginning(form, rest)
        end = cut.start() if (cut := _CUT.search(window)) else 0
        if end < _SHORTEST_CUT or (end == len(window) and at + end < len(folded)):
            return 0
        begun = window[:end]
        index = bisect_left(forms, begun)
        is_begun = index < len(forms) and forms[index].startswith(begun) and "://" not in begun
        return end if is_begun and not _IN_SCHEME.match(forms[index], end) else 0

    def deeply(self, value: Any) -> Any:
        """Return a value as plain JSON, with every text in it redacted, keys too; NaN and infinities, which JSON lacks,
        become null."""
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


def secrets_of(value: object, public: Container[str] = ()) -> Iterable[str]:
    """Yield every secret that a settings model, or a container of models, holds."""
    if isinstance(value, ReceiverAddress):
        yield from value.secrets
    elif isinstance(value, WebAddress):
        yield from parts_of_address(str(value), public)
    elif isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Secret):  # a document, whose keys are no secrets
        yield from keys_in(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name), public)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not (isinstance(item, SecretStr) and is_public(str(name), item.get_secret_value())):
                yield from secrets_of(item, public)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_of(item, public)


def names_in(value: object) -> Iterable[str]:
    """Yield the names of what is configured by a model."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from names_in(getattr(value, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, BaseModel):
                yield str(name)
                yield from names_in(item)


def words_of(names: Iterable[str]) -> frozenset[str]:
    """Return the words that names consist of."""
    return frozenset(word for name in names for word in re.split(r"[-_.]", name))


def _folded(text: str) -> str:
    """Return a text in lower case, of the same length."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)


def _shared_beginning(one: str, other: str) -> str:
    for length, (letter, its) in enumerate(zip(one, other, strict=False)):
        if letter != its:
            return one[:length]
    return min(one, other, key=len)
