"""Counters of a process: a snapshot of their raw values, as a source reads them, and its form in the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from math import isfinite
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

from healthd_gates.domain.strata import cleaned


class Family(StrEnum):
    """Kinds of counters."""

    REQUESTS = "requests"
    ERRORS = "errors"
    BUCKET = "bucket"
    SUM = "sum"


SPLIT = (Family.REQUESTS, Family.ERRORS)  # by the label of requests, where there is one


class Counter(NamedTuple):
    """Identifies a counter: its family, a digest of its labels, for a bucket its upper edge as the label says it, and
    the stratum that it counts, where requests are split by a label."""

    family: Family
    series: str
    edge: str = ""
    stratum: str = ""

    @classmethod
    def of(
        cls, family: Family, labels: Mapping[str, str], by: str | None = None, latency_by: str | None = None
    ) -> Self:
        """Build from labels; `labels` may hold `le` and `__name__`. Buckets of one histogram differ in `edge` alone.
        `by` is the label that requests are split by, `latency_by` the one that latencies are."""
        rest = sorted((name, value) for name, value in labels.items() if name not in ("le", "__name__"))
        digest = blake2b(repr(rest).encode(), digest_size=8).hexdigest()
        label = by if family in SPLIT else latency_by if family is Family.BUCKET else None
        stratum = "" if label is None else cleaned(labels.get(label, ""))
        return cls(family, digest, _edge(labels.get("le", "")) if family is Family.BUCKET else "", stratum)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters of one process at one time.

    `at` and `started` (when the process began, None if it does not say) are seconds since 1970. `pace` is the fastest
    rate of requests that was seen, in requests a second. `restarts` is how often it surely restarted, and `born` when
    it was first seen, if it began after the gate. `refused` is true if its address has refused connections since.
    """

    at: float
    values: Mapping[Counter, float]
    started: float | None = None
    pace: float = 0.0
    restarts: int = 0
    born: float | None = None
    refused: bool = False

    @classmethod
    def zero(cls, at: float) -> Self:
        """Return the snapshot of a process that has counted nothing yet."""
        return cls(at, {})

    def to_json(self) -> list[Any]:
        values = {_text(counter): value for counter, value in self.values.items()}
        told = [self.at, self.started, values, self.pace, self.restarts, self.born]
        return [*told, True] if self.refused else told  # an earlier release reads no more than these

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> Self:
        at, started, values, *rest = raw
        return cls(at, {_counter(text): value for text, value in values.items()}, started, *rest)


def _edge(label: str) -> str:
    """Return a bucket's edge, however it is spelled: client libraries do not agree on `1` and `1.0`."""
    try:
        return str(float(label))
    except ValueError:
        return label


def _text(counter: Counter) -> str:
    return " ".join((*counter[:3], quote(counter.stratum, safe="/:{}*"))).rstrip()


def _counter(text: str) -> Counter:
    family, series, *rest = text.split(" ")
    edge, stratum = (*rest, "", "")[:2]
    return Counter(Family(family), series, edge, unquote(stratum))


def valid(value: float) -> bool:
    """True if a counter may have this value; NaN and negative ones are nonsense of the exporter."""
    return isfinite(value) and value >= 0
