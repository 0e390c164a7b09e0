"""A quantile of the response time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from healthd.units import Duration, show_duration
from healthd_gates.criteria.comparison import LabelName, Weighed, check_limit_beside
from healthd_gates.criteria.contract import Bound
from healthd_gates.judge.arms import FAST, count_above, slower_than

if TYPE_CHECKING:
    from healthd_gates.domain.evidence import Histogram
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past

_PERCENTILE = re.compile(r"[pP]?(?P<number>\d{1,2}(?:\.\d{1,6})?)\s*%?")


def _quantile(raw: Any) -> Any:
    """Return the share that a percentile stands for: 0.95 for `p95` and `95%`."""
    percentile = _PERCENTILE.fullmatch(raw) if isinstance(raw, str) and not raw.startswith("0.") else None
    if percentile is not None and (raw[0] in "pP" or raw.endswith("%")):
        return float(percentile["number"]) / 100
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError(f"{str(raw)[:32]!r} is not a quantile: write a share such as 0.95, or p95")
    if not 0 < raw < 1:
        meant = f"p{raw:g}" if 1 <= raw < 100 else "p95"
        raise ValueError(f"{raw:g} is not between 0 and 1: write a share such as 0.95, or {meant}")
    return raw


Quantile = Annotated[
    float,
    Field(gt=0, lt=1),
    BeforeValidator(
        _quantile,
        json_schema_input_type=Annotated[float, Field(gt=0, lt=1)]
        | Annotated[str, StringConstraints(pattern=r"^([pP][0-9.]+|[0-9.]+ ?%)$")],
    ),
]


class Latency(Weighed):
    """The `quantile` of the response time: below `limit`, and no slower than `compare` allows."""

    reads_latency: ClassVar[bool] = True

    kind: Literal["latency"] = "latency"
    quantile: Quantile = 0.95
    """The quantile that is compared with the limit: a share such as 0.95, or p95."""
    limit: Duration | None = 5.0
    """The longest response time at the quantile."""

    by: LabelName | None = None
    """A label, such as `route`, whose values are also judged one by one, within the same risk."""

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        if self.limit is None and self.compare is None:
            raise ValueError("a limit or something to compare with is needed")
        check_limit_beside(self.limit, self.compare)
        return self

    @property
    def split_by(self) -> str | None:
        return self.by

    @property
    def latency_limits(self) -> tuple[float, ...]:
        return () if self.limit is None else (self.limit,)

    def hidden_by(self, edges: Sequence[float]) -> str | None:
        lowest = min(edges, default=0.0)
        if self.compare is None or lowest <= 2 * FAST or (self.limit is not None and lowest < self.limit):
            return None
        end = f" up to {show_duration(lowest)}" if lowest < inf else ""
        return (
            f"criterion {self.name} compares latencies, and everything{end} is in one bucket, in which several times"
            " slower would not show"
        )

    def limit_between(self, edges: Sequence[float]) -> tuple[float, float] | None:
        if self.limit is None or self.limit in edges:
            return None
        below = (edge for edge in edges if edge < self.limit)
        return max(below, default=0.0), min((edge for edge in edges if edge > self.limit), default=inf)

    def undecided_by(self, latency: Histogram) -> bool:
        around = self.limit_between(latency.edges)
        if around is None:
            return False
        allowed = (1 - self.quantile) * latency.total
        low, high = (count_above(latency, edge) if edge < inf else 0.0 for edge in around)
        return high <= allowed < low

    @property
    def bounds(self) -> tuple[Bound, ...]:
        if self.limit is None:
            return ()
        return (Bound(f"took longer than {self.limit:g} s", slower_than(self.limit), 1 - self.quantile),)

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge import latency, stratified

        strata = None if self.by is None else stratified.strata_of_latency(self, self.by, frame, past)
        return latency.Latency(self, frame, past, strata=strata)
