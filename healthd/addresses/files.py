"""Files that an address names. One may be mounted late: while it is not there it is told, and a check fails."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from healthd.addresses.words import names, split

_MONGODB = names("tlscafile tlscertificatekeyfile tlscrlfile")
_REDIS = names("ssl_ca_certs ssl_certfile ssl_keyfile")
_MYSQL = names("sslca sslcert sslkey")
_BY_SCHEME = {
    "mongodb": _MONGODB,
    "mongodb+srv": _MONGODB,
    "redis": _REDIS,
    "rediss": _REDIS,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


class MissingFile(OSError):  # noqa: N818 - it says what is missing
    """A file that an address names cannot be read."""


def files_of(uri: str) -> tuple[tuple[str, str], ...]:
    """Return the files that an address of MongoDB, Redis or MySQL names, by parameter."""
    scheme = uri.partition("://")[0]
    known = _BY_SCHEME.get(scheme, frozenset())
    words = split(uri, "&;" if known is _MONGODB else "&")[1]
    if known is _MYSQL:
        return tuple((word.name, word.value) for word in words if _plain(word.name) in known and word.value)
    return tuple((word.name, word.value) for word in words if word.name.lower() in known and word.value)


def missing_file(files: Iterable[tuple[str, str]]) -> str | None:
    """Return a sentence on the first file that cannot be read. Reads the disk."""
    return next(iter(missing_files(files)), None)


def missing_files(files: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence on each file that cannot be read. Reads the disk."""
    return [
        f"{word}: the file {name} {'cannot be read' if Path(name).exists() else 'does not exist'}"
        for word, name in files
        if not os.access(name, os.R_OK)
    ]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
