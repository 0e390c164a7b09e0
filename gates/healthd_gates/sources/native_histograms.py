"""Native histograms of Prometheus → the cumulative buckets and the sum that classic ones have.

The buckets of a native histogram are powers of 2^(2^-schema), and an answer shows those that have counts. They are put
between edges that are the same for every histogram: powers of 2^(1/4), or of the histogram's own base where that is
coarser. Each edge is one of its own, so that nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, log2
from typing import Any

_STEPS = 4
"""Edges of a doubling."""
_LOWEST, _HIGHEST = -8, 6
"""Powers of two, in seconds, of the lowest and the highest edge: 4 ms and 64 s."""
_EXACT = 1e-6  # of a step: boundaries are written as decimals

Labels = Mapping[str, str]
Samples = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Native:
    """One sample: all observations, their sum, and (lower, upper, count) of each bucket that has any."""

    count: float
    sum: float
    buckets: tuple[tuple[float, float, float], ...]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Native:
        """Read what a server answers. Raises KeyError, TypeError or ValueError."""
        buckets = tuple((float(low), float(high), float(count)) for _, low, high, count in raw.get("buckets") or ())
        return cls(float(raw["count"]), float(raw["sum"]), buckets)


class CustomBucketsError(ValueError):
    """The buckets are not those of an exponential schema: those without counts are not known."""


def cumulative(native: Native, per_second: float) -> dict[float, float]:
    """Return how many observations are at most so large, by edges in the histogram's own unit. Raises
    CustomBucketsError."""
    step = _step(native)
    unit = ceil(log2(per_second)) if per_second > 1 else 0
    powers = range(_STEPS * (_LOWEST + unit), _STEPS * (_HIGHEST + unit) + 1)
    blurred = max((high for low, high, _ in native.buckets if low < 0 < high), default=0.0)
    places = [power for power in powers if power % step == 0 and _edge(power) >= blurred]
    found, below = dict.fromkeys(map(_edge, places), 0.0), 0.0
    ordered = sorted((_place(high), count) for _, high, count in native.buckets)
    next_ = 0
    for power in places:
        while next_ < len(ordered) and ordered[next_][0] <= power:
            below += ordered[next_][1]
            next_ += 1
        found[_edge(power)] = below
    found[inf] = native.count
    return found


def _edge(power: int) -> float:
    return float(2.0 ** (power / _STEPS))


def _place(high: float) -> float:
    """Return the power of the lowest edge that is not below a boundary."""
    return ceil(_STEPS * log2(high) - _EXACT) if 0 < high < inf else (inf if high > 0 else -inf)


def _step(native: Native) -> int:
    """Return how many of our steps one of the histogram's own is, at least one."""
    widths = {log2(high / low) for low, high, _ in native.buckets if 0 < low < high < inf}
    if not widths:
        return 1
    width = max(widths)
    schema = -log2(width)
    base = 2.0 ** -round(schema)
    on_grid = all(_is_whole(log2(high) / base) for low, high, _ in native.buckets if 0 < low < high < inf)
    if max(widths) - min(widths) > _EXACT * width or not _is_whole(schema) or not on_grid:
        raise CustomBucketsError
    return max(1, round(_STEPS * base))


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-3


@dataclass(frozen=True, slots=True)
class Classic:
    """A native series in the form of classic ones: buckets by the text of their edge, and the sum."""

    buckets: Mapping[str, Samples]
    sum: Samples


def as_classic(samples: Sequence[tuple[float, Native]], per_second: float) -> Classic:
    """Return the samples of one series as classic ones. Raises CustomBucketsError."""
    buckets: dict[str, list[tuple[float, float]]] = {}
    for at, native in samples:
        for edge, count in cumulative(native, per_second).items():
            buckets.setdefault(str(edge), []).append((at, count))
    return Classic(_frozen(buckets.items()), tuple((at, native.sum) for at, native in samples))


def _frozen(items: Iterable[tuple[str, list[tuple[float, float]]]]) -> dict[str, Samples]:
    return {edge: tuple(samples) for edge, samples in items}
