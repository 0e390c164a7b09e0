"""A quantile of the response time."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from healthd.units import Duration
from healthd_gates.criteria.comparison import Weighed
from healthd_gates.criteria.contract import Bound
from healthd_gates.judge import latency
from healthd_gates.judge.arms import slower_than
from healthd_gates.judge.criterion import Criterion, Frame
from healthd_gates.judge.past import Past


class Latency(Weighed):
    """The `quantile` of the response time: below `limit`, and no slower than `compare` allows."""

    reads_latency: ClassVar[bool] = True

    kind: Literal["latency"] = "latency"
    quantile: float = Field(0.95, gt=0, lt=1)
    """The quantile that is compared with the limit."""
    limit: Duration | None = 5.0
    """The longest response time at the quantile."""

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        if self.limit is None and self.compare is None:
            raise ValueError("a limit or something to compare with is needed")
        return self

    @property
    def latency_limits(self) -> tuple[float, ...]:
        return () if self.limit is None else (self.limit,)

    @property
    def bounds(self) -> tuple[Bound, ...]:
        if self.limit is None:
            return ()
        return (Bound(f"took longer than {self.limit:g} s", slower_than(self.limit), 1 - self.quantile),)

    def build(self, frame: Frame, past: Past) -> Criterion:
        return latency.Latency(self, frame, past)
