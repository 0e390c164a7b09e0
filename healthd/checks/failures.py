"""Map exceptions that any driver can raise to a failure kind. Those of a single driver are mapped in its own file."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from healthd.model import FailureKind
from healthd.runtime.deadline import DeadlineExceededError
from healthd.runtime.lookups import Unresolved, remark, unresolved, way

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}


def classify(error: BaseException) -> FailureKind:
    """Return the failure kind of an exception, following the causes that drivers wrap it in."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError() if "expired" in str(cause):
                return FailureKind.EXPIRED
            case ssl.SSLError():
                return FailureKind.TLS
            case socket.gaierror():
                return FailureKind.DNS
            case DeadlineExceededError(unresolved=Unresolved()):
                return FailureKind.DNS
            case TimeoutError():
                return FailureKind.TIMEOUT
            case OSError(errno=code) if code in _OUT_OF_RESOURCES:
                return FailureKind.EXHAUSTED
            case PermissionError():
                return FailureKind.PERMISSION
            case OSError() | EOFError():
                return FailureKind.CONNECT
    return FailureKind.INTERNAL


def explain_late(message: str) -> tuple[FailureKind, str]:
    """Return the failure kind and a line for people about work whose time is over: the message, unless it waited for a
    name until then. Whatever could be said of the peer, nobody has called it. What a slow lookup took is told too."""
    name = unresolved()
    if name is not None:
        return FailureKind.DNS, str(name)
    said = message.removesuffix(remark())
    return FailureKind.TIMEOUT, f"{said}{'' if way() in said else way()}{remark()}"


def describe(error: BaseException) -> str:
    """Return one line about an exception; not yet redacted."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, BaseExceptionGroup):
            yield from current.exceptions
        yield current
        current = current.__cause__ or current.__context__
