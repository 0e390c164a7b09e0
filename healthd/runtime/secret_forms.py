"""Forms in which a secret could appear: quoted, escaped, encoded, or one of its parts alone. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Container, Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

_SENSITIVE = re.compile(r"pass|pwd|secret|token|key|auth|credential|sig|hook|code", re.IGNORECASE)
# Of databases' addresses: a database, ways to sign in, a prefix of names, and options of drivers; without - and _.
_NO_SECRETS = frozenset(
    {
        *("allowpublickeyretrieval", "authmechanism", "authplugin", "authsource", "decoderesponses"),
        *("defaultauthenticationplugin", "getserverpublickey", "globalkeyprefix", "keyprefix", "oauthissuer"),
        *("oauthscope", "requireauth", "useunicode"),
    }
)
_SHORTEST_PART = 8  # minimum characters of a part of an address that alone is treated as the secret
SHORTEST = 4  # characters; a shorter secret would blank out parts of ordinary words
_LONGEST_WORD = 16  # characters from which a text is no ordinary word
# Addresses whose user stands for a person or a program; a web address may have a token there.
_WITH_USER_NAMES = frozenset({"postgresql", "postgres", "mongodb", "mongodb+srv"})
# Short words of the daemon's own output: their mask would make it unreadable, and tell the value by its place.
_OWN = frozenset(
    {
        *("debug", "error", "fail", "false", "healthd", "healthy", "http", "https", "info", "mongodb"),
        *("none", "null", "pass", "redis", "true", "unknown", "warning"),
    }
)
_FILES = frozenset({"passfile", "servicefile", "sslkey", "sslkeyfile", "tlscertificatekeyfile"})
# Headers that say how to answer, or for which host.
_PUBLIC_HEADERS = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection"),
        *("content-encoding", "content-language", "content-type", "host", "pragma", "x-forwarded-host"),
        *("x-forwarded-proto", "x-requested-with"),
    }
)
_PLAIN_WORD = re.compile(r"[A-Z]?[a-z]{1,24}|[A-Z]{1,4}|[a-z]{0,3}\d{1,5}[a-z]{0,2}|XMLHttpRequest")
# Words of addresses that hold no secret: they stay readable alone.
_ORDINARY = frozenset(
    {
        *("alertmanager", "annotations", "datasources", "prometheus", "victoriametrics", "workspaces"),
        *("callback", "callbacks", "channels", "dashboard", "deployment", "deployments", "development", "discovery"),
        *("endpoint", "healthcheck", "incoming", "integration", "integrations", "internal", "messages", "monitoring"),
        *("notification", "notifications", "production", "readiness", "rollback", "rollbacks", "services", "triggers"),
        *("webhook", "webhooks", "workflow", "workflows"),
    }
)


def forms_of(secret: str, public: Container[str] = ()) -> Iterable[str]:
    """Yield every form of a secret and, where it is an address, of its secret parts; unordered, with repetitions.
    `public` words in its path are none."""
    for part in {secret, secret.strip(), *parts_of_address(secret, public)}:
        for plain in {part, unquote(part)}:
            if plain.lower() in _OWN:
                continue
            yield from (plain, quote(plain, safe=""), quote(plain), quote_plus(plain))
            yield from (repr(plain)[1:-1], json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1])
            yield json.dumps(plain)[1:-1].replace("/", "\\/")  # as PHP writes JSON
            yield _escaped_for_script(json.dumps(plain, ensure_ascii=False)[1:-1])
            escaped = html.escape(plain, quote=False)
            yield from (escaped, html.escape(plain), escaped.replace('"', "&#34;").replace("'", "&#39;"))
            yield escaped.replace('"', "&quot;").replace("'", "&#39;")
            yield from (_base64(plain), _base64(plain + ":"))


def keys_in(document: Any, name: str = "") -> Iterable[str]:
    """Yield the texts of a JSON document that are secret: by their name, or by their look."""
    if isinstance(document, str):
        if _SENSITIVE.search(name) or is_key(document):
            yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from keys_in(value, str(key))
    elif isinstance(document, list):
        for value in document:
            yield from keys_in(value, name)


def parts_of_address(text: str, public: Container[str] = ()) -> Iterable[str]:
    """Yield the parts of a URI that are secret: its password, keys in its path that are no `public` word, and values of
    its query.

    A user without a password is a secret where it can be a token: a database's is a name that people need.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return
    # A password may hold an unquoted slash: so both the user part by the parser, and all up to the last @.
    for candidate in (re.split(r"[/?#]", rest)[0], re.split(r"[?#]", rest)[0], rest):
        userinfo, at, _ = candidate.rpartition("@")
        _, colon, password = userinfo.partition(":")
        if at and (colon or (scheme.lower() not in _WITH_USER_NAMES and looks_secret(userinfo))):
            yield from (userinfo, password)
    try:
        uri = urlsplit(text)
    except ValueError:  # not a URI after all
        return
    is_web = scheme.lower() in ("http", "https")
    values = [
        value
        for name, value in parse_qsl(uri.query)
        if (is_secret_name(name) and (is_web or not _is_file(name, value))) or (is_web and looks_secret(value))
    ]
    yield from values
    if is_web:
        yield from _parts_of_path(uri.path, public)
        if values:
            yield uri.query


def _is_file(name: str, value: str) -> bool:
    """True if a value is the path of a file by which a driver logs in: an error must be able to name it."""
    return value.startswith("/") and _bare(name) in _FILES


def _parts_of_path(path: str, public: Container[str]) -> Iterable[str]:
    """Yield what a server repeats of a web address: its path, from each slash on since a proxy may have removed the
    beginning, and each segment alone. In database addresses the path is a name that people need.
    """
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments):
        rest = segments[number:]
        tail = "/" + "/".join(rest)
        if len(tail) >= _SHORTEST_PART and any(_is_key(it) and it not in public for it in rest):
            yield from (tail, tail.rstrip("/"))
        if is_key(segment) and segment not in public:
            yield segment


def is_secret_name(name: str) -> bool:
    """True if a value of this name is a secret."""
    return _SENSITIVE.search(name) is not None and _bare(name) not in _NO_SECRETS


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def looks_secret(value: str) -> bool:
    """True if a value of an address's query looks like a secret."""
    return bool(value) and _is_key(value)


def is_ordinary_word(secret: str, names: Container[str]) -> bool:
    """True if a secret is a word that its mask makes unreadable elsewhere: an ordinary one, or one of `names`."""
    if len(secret) < SHORTEST or secret.lower() in _OWN or not re.fullmatch(r"[A-Za-z][A-Za-z_.-]*", secret):
        return False
    return not _is_key(secret) or secret in names


def is_public(name: str, value: str) -> bool:
    """True if a header or a variable holds an ordinary word, such as `MODE: production`, and no name of a secret; or if
    it is a header that holds none, such as `Accept: application/json`. In any other header, `User-Agent` among them,
    even words may be a secret that a firewall asks for."""
    if name.lower() in _PUBLIC_HEADERS:
        return all(_PLAIN_WORD.fullmatch(word) for word in re.split(r"[^A-Za-z0-9]+", value) if word)
    return not is_secret_name(name) and not _is_key(value)


def is_key(segment: str) -> bool:
    """True if a segment of a path, or a text of a document, looks like a secret."""
    return len(segment) >= _SHORTEST_PART and _is_key(segment)


def _is_key(word: str) -> bool:
    """True if it is neither an ordinary word nor a version, which are usual parts of addresses."""
    if word in _ORDINARY or re.fullmatch(r"v?\d{1,4}(\.\d{1,4})*|\d{4}-\d\d-\d\d", word):
        return False
    parts = re.split(r"[-_.]", word)
    return len(word) >= _LONGEST_WORD or not all(
        re.fullmatch(r"[a-z]*", part) and (len(part) < _SHORTEST_PART or part in _ORDINARY) for part in parts
    )


def _escaped_for_script(text: str) -> str:
    """Escape a text for JSON in a page: Go, Rails and Jackson write it so."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("'", "\\u0027")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogateescape")).decode().rstrip("=")
