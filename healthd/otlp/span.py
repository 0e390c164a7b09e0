"""Spans as values, and the trace context that a caller hands over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Attribute = str | bool | int | float
Attributes = Mapping[str, Attribute | None]
"""Attributes of a span or an event; those that are None are left out."""

_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    name: str
    at: datetime
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. Ids are in hexadecimal; `failed` is why it failed, None where it did not."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    began: datetime
    ended: datetime
    attributes: Attributes = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Span of a caller, of which another span is a part. Where it is not `sampled`, nobody keeps the trace."""

    trace_id: str
    span_id: str
    sampled: bool

    def __str__(self) -> str:
        """Return it as a `traceparent` of the version that is known here."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse_traceparent(header: str) -> TraceContext | None:
    """Return the context in a `traceparent` (W3C Trace Context, 3.2); None where it is not valid, which a receiver
    passes over."""
    found = _PARENT.fullmatch(header.strip())
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return TraceContext(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))
