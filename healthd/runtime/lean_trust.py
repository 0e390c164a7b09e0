"""Contexts of TLS that read the certificates of this host when they are used.

aiohttp makes two when it is imported, and reading them takes as long as the rest of its import.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def reading_when_used() -> Iterator[None]:
    """Let contexts that are made meanwhile read this host's certificates at their first connection."""
    ssl.SSLContext.set_default_verify_paths = _read_later  # type: ignore[assignment]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # what it inherits is there again


class _Unread(ssl.SSLContext):
    """Context of which the certificates are not read yet."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return _read(self).wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return _read(self).wrap_socket(*args, **options)


def _read_later(context: ssl.SSLContext) -> None:
    context.__class__ = _Unread


def _read(context: ssl.SSLContext) -> ssl.SSLContext:
    context.__class__ = ssl.SSLContext
    context.set_default_verify_paths()
    return context
