"""A measured value of the team's own: memory, the depth of a queue, a lag, the burn rate of an SLO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from healthd.units import Duration, Span
from healthd_gates.criteria.comparison import Beside, Shared
from healthd_gates.sources.contract import Series

if TYPE_CHECKING:
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past


class BesideDrift(Beside):
    """The limit on how much worse than the baseline beside it the candidate may be, beyond what drifts by itself."""

    drift: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Distance of the values of two healthy versions over minutes, in the unit of the value; what the last three hours
    show unless given. Without an hour of a past the comparison decides nothing."""


class Value(Shared):
    """A number that is no count: inside a band, a plain threshold without a guarantee, and no worse than the baseline's
    beside it, with the stated risk. Of several instances the median counts. It proves harm, and no safety."""

    kind: Literal["value"] = "value"
    value: str = Field(min_length=1, max_length=2000)
    """The value, in the language of the source: any PromQL for `prometheus`."""
    min: float | None = Field(None, allow_inf_nan=False)
    """The lower end of the band."""
    max: float | None = Field(None, allow_inf_nan=False)
    """The upper end of the band."""
    lasting: Span = Field(60.0, alias="for")
    """Time outside the band after which it fails."""
    compare: BesideDrift | None = None
    """The comparison with the baseline that runs beside the candidate, beside the band or instead of it."""
    worse: Literal["higher", "lower"] = "higher"
    """The direction of harm in a comparison."""
    sample: Duration = 15.0
    """Time between two comparisons: no shorter than samples come, since one sample must not count twice."""

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        if self.min is None and self.max is None and self.compare is None:
            raise ValueError("a band (min, max) or something to compare with is needed")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self

    @property
    def series(self) -> Series:
        return Series(self.name, "values", {"value": self.value})

    @property
    def lowest(self) -> float | None:
        """The lower end of the band."""
        return self.min

    @property
    def highest(self) -> float | None:
        """The upper end of the band."""
        return self.max

    @property
    def patience(self) -> float:
        """Seconds outside the band after which it fails."""
        return self.lasting

    @property
    def ratio(self) -> float | None:
        """The tolerated ratio to the baseline."""
        return None if self.compare is None else self.compare.tolerated

    @property
    def drift(self) -> float | None:
        """Drift of the value by itself, None if that is to be learnt."""
        return None if self.compare is None else self.compare.drift

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge import value

        return value.Value(self, frame, past)
