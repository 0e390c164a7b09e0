"""The two messages of grpc.health.v1 (github.com/grpc/grpc-proto, grpc/health/v1/health.proto) in the format of
Protocol Buffers. Each has one field; fields of later versions are skipped. No I/O here."""

from __future__ import annotations

from healthd.checks.grpc_call import CallError
from healthd.model import FailureKind

_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # protobuf.dev/programming-guides/encoding: wire types
_MOST_DIGITS = 10  # of a varint, of seven bits each


def asking(service: str) -> bytes:
    """Return the message that asks for a service; for the server as a whole it is empty."""
    name = service.encode()
    return _tag(1, _LENGTH) + _varint(len(name)) + name if name else b""


def serving_status(message: bytes) -> str:
    """Return the status that an answer holds, by its name, or its number if it has none. Raises CallError."""
    status, at = 0, 0
    try:
        while at < len(message):
            key, at = _read_varint(message, at)
            value, at = _read_value(message, at, key & 7)
            if key == 1 << 3 | _VARINT:
                status = value
    except (LookupError, ValueError):
        text = "answers with what is no message of grpc.health.v1"
        raise CallError(FailureKind.UNEXPECTED_RESPONSE, text) from None
    return _STATUSES[status] if status < len(_STATUSES) else str(status)


def _read_value(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Return the value of a varint, 0 for any other type, and where it ends."""
    if wire_type == _VARINT:
        return _read_varint(message, at)
    if wire_type == _LENGTH:
        length, at = _read_varint(message, at)
    else:
        length = {_FIXED64: 8, _FIXED32: 4}[wire_type]
    if at + length > len(message):
        raise IndexError
    return 0, at + length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for digit in range(_MOST_DIGITS):
        byte = message[at + digit]
        value |= (byte & 0x7F) << 7 * digit
        if byte < 0x80:
            return value, at + digit + 1
    raise ValueError


def _varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low]) if not high else bytes([low | 0x80]) + _varint(high)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)
