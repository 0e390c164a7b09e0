"""The common part of the criteria with statistics: a comparison with the baseline, and a share in the risk."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from healthd.config.model import Model
from healthd.units import Ratio
from healthd.wording import shape
from healthd_gates.criteria.contract import TrafficCriterion
from healthd_gates.judge.rules import Against, Comparison

LabelName = Annotated[str, Field(pattern=shape(r"^[a-zA-Z_][a-zA-Z0-9_.]{0,99}$", "the name of a label"))]

_USUAL = Comparison()
_OTHERS = {Against.HISTORY: Comparison.with_history(), Against.BEFORE: Comparison.with_before()}


class Compare(Model):
    """Limits on how much worse than the baseline the candidate may be. For latency both ratios are of times."""

    to: Against = _USUAL.against
    """`concurrent`: the baseline that the request names and that runs beside the candidate; `history`: the time before
    the switch; `before`: the same where it is known, and only for harm that lasts: no pass waits for a proof of it."""
    tolerated: float = Field(_USUAL.tolerated, ge=1)
    """The ratio to the baseline above which the candidate is harmful; 3 against history and before."""
    harmful: float = Field(_USUAL.harmful, gt=1)
    """The ratio that a pass must rule out; 5 against history. Unused with `before`."""
    floor: Ratio = _USUAL.floor
    """An error rate below it is harmless whatever the ratio; 1 % with `before`."""

    @model_validator(mode="before")
    @classmethod
    def _wider_against_history(cls, raw: Any) -> Any:
        """Widen the defaults against history: load drifts between then and now."""
        if not isinstance(raw, dict) or raw.get("to") not in tuple(_OTHERS):
            return raw
        wide = _OTHERS[Against(raw["to"])]
        return {"tolerated": wide.tolerated, "harmful": wide.harmful, "floor": wide.floor, **raw}

    @model_validator(mode="after")
    def _harmful_is_more(self) -> Self:
        if self.harmful <= self.tolerated and self.to is not Against.BEFORE:
            raise ValueError("harmful must be more than tolerated: between the two the judge may decide either way")
        return self


class Beside(Model):
    """The limit on how much worse than the baseline beside it the candidate may be."""

    to: Literal["concurrent"] = "concurrent"
    """`concurrent`: the baseline that the request names and that runs beside the candidate."""
    tolerated: float = Field(1.5, ge=1, allow_inf_nan=False)
    """The ratio to the baseline above which the candidate is harmful."""


class Shared(TrafficCriterion):
    """A criterion with a share in the risk."""

    compare: Any = None
    weight: float = Field(1.0, gt=0, le=1000)
    """Share of the risk that this criterion gets, relative to the others."""

    @property
    def compares_with(self) -> Against | None:
        return Against(self.compare.to) if self.compare else None


class Weighed(Shared):
    """A criterion with a guarantee: it compares with a limit, with a baseline, or with both."""

    compare: Compare | None = None
    """The comparison, beside the limit or instead of it."""

    @property
    def comparison(self) -> Comparison | None:
        """The comparison of `compare` as the judge reads it."""
        if self.compare is None:
            return None
        given = self.compare
        harmful = given.harmful if given.to is not Against.BEFORE else 2 * given.tolerated
        return Comparison(given.tolerated, harmful, given.floor, given.to)


def check_limit_beside(limit: float | None, compare: Compare | None) -> None:
    """Raise ValueError for a comparison with what was there before that stands alone: a first deploy has no past."""
    if limit is None and compare is not None and compare.to is Against.BEFORE:
        raise ValueError("`to: before` needs a limit beside it: a first deploy has no past to be held to")


def check_share(limit: float | None, compare: Compare | None) -> None:
    """Raise ValueError for a share of requests that nothing bounds."""
    if limit is None and compare is None:
        raise ValueError("a limit or something to compare with is needed")
    check_limit_beside(limit, compare)
