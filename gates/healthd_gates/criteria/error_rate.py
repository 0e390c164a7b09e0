"""The share of failed requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from healthd.units import Ratio
from healthd_gates.criteria.comparison import LabelName, Weighed, check_share
from healthd_gates.criteria.contract import Bound
from healthd_gates.judge.arms import errors

if TYPE_CHECKING:
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past


class ErrorRate(Weighed):
    """The share of failed requests: below `limit`, and no worse than `compare` allows."""

    kind: Literal["error_rate"] = "error_rate"
    limit: Annotated[Ratio, Field(gt=0, lt=1)] | None = 0.05
    """The highest share of failed requests."""

    by: LabelName | None = None
    """A label, such as `route`, whose values are also judged one by one, within the same risk."""

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        check_share(self.limit, self.compare)
        return self

    @property
    def split_by(self) -> str | None:
        return self.by

    @property
    def bounds(self) -> tuple[Bound, ...]:
        return () if self.limit is None else (Bound("failed", errors, self.limit),)

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge import error_rate, stratified

        strata = None if self.by is None else stratified.strata_of_errors(self, self.by, frame, past)
        return error_rate.ErrorRate(self, frame, past, strata=strata)
