"""Name lookups of the tests: none of a reserved name leaves the machine.

What a resolver says of `nowhere.invalid`, and after how many seconds, is the machine's matter: one has no name server
at all, one asks again after five seconds, and some answer with the address of an advertisement. RFC 6761 has a library
return an immediate negative answer for such names (section 6.4), which that of GNU does not do.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

UNKNOWN = "Name or service not known"
NO_NAME = f"{'n' * 64}.invalid"
"""For a program that asks the C library: with a label longer than 63 bytes it is no name, which it says by itself."""
HUNG = "hung.example"
_RESERVED = (".invalid", ".example", ".test", "example.com", "example.net", "example.org")

_look_up = socket.getaddrinfo


def _known(host: Any, *how: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if isinstance(name, str) and name.lower().removesuffix(".").endswith(_RESERVED):
        raise socket.gaierror(socket.EAI_NONAME, UNKNOWN)
    return _look_up(host, *how, **options)


def keep_to_the_machine() -> None:
    """Have no lookup of a reserved name reach a resolver, in this process and those that it forks."""
    socket.getaddrinfo = _known


@contextmanager
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each lookup of the name HUNG hangs until the end."""
    released, look_up = threading.Event(), socket.getaddrinfo

    def hang(*where: Any, **options: Any) -> Any:
        if HUNG in where and not options.get("flags", 0) & socket.AI_NUMERICHOST:
            released.wait(60)
        return look_up(*where, **options)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", hang)
        try:
            yield
        finally:
            released.set()
