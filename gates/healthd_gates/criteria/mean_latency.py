"""The mean response time against a plain threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from healthd.units import Duration
from healthd_gates.criteria.contract import TrafficCriterion

if TYPE_CHECKING:
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past


class MeanLatency(TrafficCriterion):
    """The mean response time of the last `window` against a plain threshold, which carries no guarantee."""

    reads_latency: ClassVar[bool] = True
    reads_sums: ClassVar[bool] = True

    kind: Literal["mean_latency"] = "mean_latency"
    limit: Duration = 5.0
    """The longest mean response time."""
    window: Duration = 60.0
    """Length of the window over which the mean is taken."""
    requests: int = Field(20, ge=1)
    """The least number of requests for a mean."""

    @property
    def latency_limits(self) -> tuple[float, ...]:
        return (self.limit,)

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge import plain

        return plain.MeanLatency(self, frame)
