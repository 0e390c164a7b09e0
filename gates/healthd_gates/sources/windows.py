"""The options of sources that count in closed windows of time, as services of telemetry do: they are late, and what
they say of a window may change until it has been over for a while.

`windows_source.py` asks for the windows that are due, `window_counts.py` turns their numbers into counts, and each
vendor's file knows how to ask.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, isfinite
from typing import Annotated, Any, ClassVar, Self, TypeGuard

from pydantic import Field, model_validator

from healthd.units import Duration, show_duration
from healthd_gates.sources.contract import Arm, Arms, Series
from healthd_gates.sources.counters import Family
from healthd_gates.sources.http_options import HttpConfig
from healthd_gates.sources.numbers import NumbersConfig
from healthd_gates.sources.selectors import LatencyUnit, filled

_PLACEHOLDER = re.compile(r"\$[a-zA-Z_]")
_EDGE = re.compile(r"\$le\b")
_COMPARED = re.compile(r"(?:<=?|\bTO|\bTC\(:)\s*\$le\b")
_HALVES = 6
_APART = 1.25  # times a limit that an edge above it is at least
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, slots=True)
class Span:
    """Whole windows of time: from `start` up to, but without, `end`, each of `window` seconds. In seconds since
    1970."""

    start: int
    end: int
    window: int

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end, self.window))

    def __len__(self) -> int:
        return len(range(self.start, self.end, self.window))


@dataclass(frozen=True, slots=True)
class Query:
    """A text with everything filled in, and whether it asks for counts or for a value."""

    text: str
    counts: bool = True


Windows = Mapping[int, float]
"""Numbers by the start of the window, in seconds since 1970. A window of which nothing was said is missing."""


def halves_below(limits: Sequence[float]) -> tuple[float, ...]:
    """Return latencies in seconds, each about half the next, between limits and below the lowest: with a limit as the
    only edge everything that keeps it is in one bucket, however much slower it has become."""
    found = list[float]()
    below = [min(limits) / 2 ** (_HALVES + 1), *sorted(limits)] if limits else []
    for low, high in pairwise(below):
        while (high := high / 2) > low * _APART:
            found.append(float(f"{high:.2g}"))
    return tuple(found)


def is_number(value: Any) -> TypeGuard[float]:
    """True of a number of JSON that can be counted with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


class WindowsConfig(NumbersConfig):
    """Common part of sources that count in closed windows."""

    latency_is_missing: ClassVar[str] = "`latency`: name there what counts the requests that took at most `$le`"
    resolution: ClassVar[int] = 1
    """Seconds that the shortest window has; every window is a multiple of them."""
    silence_hint: ClassVar[str] = ""
    """Hint where nothing arrives, and a name that is misspelt gives no error."""
    asks_between: ClassVar[bool] = False
    """True if it is a server of one's own, which is asked between windows too, to tell an outage when it begins."""
    has_values: ClassVar[bool] = True
    """True if it can be asked for numbers that are no counts."""

    requests: str | None = None
    """Counts the requests of a window, for criteria of error rate; without it, there are only those of criteria."""
    errors: str | None = None
    """Counts the failed requests of a window."""
    latency: str | None = None
    """Counts the requests of a window that took at most `$le`, which is each of `edges` and limit of the policy."""
    latency_unit: LatencyUnit = "s"
    """Unit in which `$le` is written."""
    edges: tuple[Duration, ...] | None = Field(None, max_length=12)
    """Latencies to count at, beside the limits of the policy, each by a query more; unless given, halves of the lowest
    limit down to its 64th, and between limits, where `latency` compares with `$le` and so counts at any."""
    up: str | None = None
    """Counts what arrives of every version, and is above 0 while telemetry does: so that no traffic is known from no
    telemetry."""
    window: Annotated[Duration, Field(le=3600)] = 60.0
    """Length of a window: each is counted once, when it is over."""
    delay: Duration = 60.0
    """Time after its end from which a window's numbers no longer change."""
    timeout: Duration = 10.0
    """Timeout of one evaluation."""

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        if self.window < self.resolution or self.window % self.resolution:
            text = show_duration(self.resolution)
            raise ValueError(f"window: use a multiple of {text}")
        if self.latency is not None:
            if not self.texts:
                raise ValueError("latency needs requests and errors beside it")
            if not _EDGE.search(self.latency):
                raise ValueError("latency: must count the requests that took at most $le, and has no $le")
            self.check_text(_EDGE.sub("1", self.latency))
        if self.up is not None:
            self.check_text(self.up)
        return self

    @property
    def texts(self) -> dict[Family, str]:
        texts = {Family.REQUESTS: self.requests, Family.ERRORS: self.errors}
        return {family: text for family, text in texts.items() if text is not None}

    def edges_under(self, limits: Sequence[float]) -> tuple[float, ...] | None:
        if self.latency is None:
            return None
        if self.edges is not None:
            return tuple(sorted({*limits, *self.edges}))
        counts_anywhere = _COMPARED.search(self.latency) is not None  # and not at those that a series has, as by a tag
        return tuple(sorted({*limits, *(halves_below(limits) if counts_anywhere else ())}))

    @property
    def lateness(self) -> float:
        return 2 * self.window + self.delay + 30.0

    @property
    def measures_latency(self) -> bool:
        return self.latency is not None

    @property
    def measures_sums(self) -> bool:
        return False

    def depends_on_arm(self, text: str) -> bool:
        return _PLACEHOLDER.search(_EDGE.sub("", text)) is not None

    def check_value(self, text: str) -> None:
        """Check a text that asks for a value. Raises ValueError."""
        self.check_text(text)

    def check_text_of(self, text: str, arms: Arms) -> None:
        for name, arm in arms.named().items():
            self.fill(_EDGE.sub("1", text), name, arm)

    def check(self, arms: Arms) -> None:
        super().check(arms)
        for text in (self.latency, self.up):
            if text is not None:
                self.check_text_of(text, arms)

    def check_series(self, series: Series) -> None:
        for part, text in series.parts.items():
            try:
                if series.shape != "values":
                    self.check_text(text)
                elif self.has_values:
                    self.check_value(text)
                else:
                    raise ValueError(f"a source of kind {self.kind} counts, and has no values")
            except ValueError as error:
                raise ValueError(f"{part}: {error}") from None
        if series.shape == "events" and not self.shows_life(series):
            raise ValueError(
                "up: is needed, of the criterion or of the source: counts what arrives in any case, so that no events"
                " are known from no telemetry"
            )

    def shows_life(self, series: Series) -> bool:
        """True if something other than the events shows that telemetry arrives."""
        return bool({"up", "requests"} & set(series.parts)) or self.up is not None or Family.REQUESTS in self.texts

    def fill(self, text: str, name: str, arm: Arm) -> str:
        """Return a text with an arm's values. Raises ArmError."""
        return filled(text, name, arm, self.quote)

    def quote(self, value: str) -> str:
        """Return an arm's value as it stands in a text."""
        return value

    def latency_at(self, edge: float) -> str:
        """Return the text that counts requests of at most `edge` seconds."""
        return _EDGE.sub(self.edge_in_unit(edge), self.latency or "")

    def edge_in_unit(self, edge: float) -> str:
        """Return what stands for `$le`, for `edge` seconds."""
        return f"{edge * _UNITS[self.latency_unit]:.10g}"

    @abstractmethod
    def check_text(self, text: str) -> None:
        """Check a text that counts. Raises ValueError, also for one that would give a rate."""

    def first_after(self, at: float) -> int:
        """Return the start of the first whole window after a time."""
        return ceil(at / self.window) * int(self.window)

    def closed_by(self, at: float) -> int:
        """Return the end of the newest window that no longer changes."""
        return int((at - self.delay) // self.window) * int(self.window)


class HttpWindowsConfig(WindowsConfig, HttpConfig):
    """The same, asked by HTTP."""
