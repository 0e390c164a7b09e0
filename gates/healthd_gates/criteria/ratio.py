"""A part of a whole, each a counter of the team's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from healthd.units import Ratio as Fraction
from healthd_gates.criteria.comparison import Weighed, check_share
from healthd_gates.sources.contract import Series

if TYPE_CHECKING:
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past


class Ratio(Weighed):
    """The bad share of a whole, such as failed checkouts or logins: below `limit`, and no worse than `compare`
    allows."""

    kind: Literal["ratio"] = "ratio"
    of: str = Field(min_length=1, max_length=2000)
    """The counter of the whole, in the language of the source: a selector of Prometheus, or a name that is pushed."""
    bad: str | None = Field(None, min_length=1, max_length=2000)
    """The counter of the bad part."""
    good: str | None = Field(None, min_length=1, max_length=2000)
    """The counter of the good part, instead of the bad one."""
    limit: Annotated[Fraction, Field(gt=0, lt=1)] | None = None
    """The highest share of bad ones."""

    @model_validator(mode="after")
    def _has_one_part(self) -> Self:
        if (self.bad is None) == (self.good is None):
            raise ValueError("either bad or good is needed, and not both: the counter of that part of `of`")
        return self

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        check_share(self.limit, self.compare)
        return self

    @property
    def series(self) -> Series:
        part: Mapping[str, str] = {"bad": self.bad} if self.bad is not None else {"good": self.good or ""}
        return Series(self.name, "counts", {"of": self.of, **part})

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge import ratio

        return ratio.Ratio(self, frame, past, ratio.bad_part if self.bad is not None else ratio.all_but_good)
