"""The criteria of a policy as validated models, and what each tells the judge."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from healthd.config.settings import Model, Name
from healthd.units import Duration, Ratio, Span
from healthd_gates.domain.smoke_request import SmokeRequest
from healthd_gates.judge import rules


class Compare(Model):
    """How much worse than the baseline the candidate may be. For latency both ratios are of times."""

    to: rules.Against = rules.Against.CONCURRENT
    """`concurrent`: the baseline that the request names and that runs beside; `history`: the time before the switch."""
    tolerated: float = Field(1.25, ge=1)
    """The ratio to the baseline above which the candidate is harmful; 3 against history."""
    harmful: float = Field(2.0, gt=1)
    """The ratio that a pass must rule out; 5 against history."""
    floor: Ratio = 0.005
    """An error rate below it is harmless whatever the ratio."""

    @model_validator(mode="before")
    @classmethod
    def _wider_against_history(cls, raw: Any) -> Any:
        """Load drifts between then and now, so that an earlier baseline is given more room."""
        if isinstance(raw, dict) and raw.get("to") == rules.Against.HISTORY:
            wide = rules.Comparison.with_history()
            return {"tolerated": wide.tolerated, "harmful": wide.harmful, **raw}
        return raw

    @model_validator(mode="after")
    def _harmful_is_more(self) -> Self:
        if self.harmful <= self.tolerated:
            raise ValueError("harmful must be more than tolerated: between the two the judge may decide either way")
        return self

    def comparison(self) -> rules.Comparison:
        return rules.Comparison(self.tolerated, self.harmful, self.floor, self.to)


class Criterion(Model):
    """What all criteria can be told. One that is not critical only warns."""

    name: Name | None = None
    """The kind, unless given; needed where two criteria are of one kind."""
    critical: bool = True
    """Whether it takes part in the verdict, or only warns."""


class Measured(Criterion):
    compare: Compare | None = None
    """What to compare with, beside the limit or instead of it."""
    weight: float = Field(1.0, gt=0, le=1000)
    """Its share in the risk, against those of the others."""


class ErrorRate(Measured):
    """The share of failed requests: below `limit`, and no worse than `compare` allows."""

    kind: Literal["error_rate"]
    limit: Ratio | None = 0.05
    """The highest share of failed requests."""

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        if self.limit is None and self.compare is None:
            raise ValueError("a limit or something to compare with is needed")
        if self.limit is not None and not 0 < self.limit < 1:
            raise ValueError("limit must lie between 0% and 100%: no finite evidence could prove either")
        return self

    def rule(self, name: str) -> rules.Rule:
        comparison = self.compare.comparison() if self.compare else None
        return rules.ErrorRateRule(name, self.limit, comparison, self.weight, self.critical)


class Latency(Measured):
    """The `quantile` of the response time: below `limit`, and no slower than `compare` allows."""

    kind: Literal["latency"]
    quantile: float = Field(0.95, gt=0, lt=1)
    """Which quantile is held to the limit."""
    limit: Duration | None = 5.0
    """The longest response time at the quantile."""

    @model_validator(mode="after")
    def _has_something_to_hold_to(self) -> Self:
        if self.limit is None and self.compare is None:
            raise ValueError("a limit or something to compare with is needed")
        return self

    def rule(self, name: str) -> rules.Rule:
        comparison = self.compare.comparison() if self.compare else None
        return rules.LatencyRule(name, self.quantile, self.limit, comparison, self.weight, self.critical)


class MeanLatency(Criterion):
    """The mean response time of the last `window` against a plain threshold, which carries no guarantee."""

    kind: Literal["mean_latency"]
    limit: Duration = 5.0
    """The longest mean response time."""
    window: Duration = 60.0
    """Over how long the mean is taken."""
    requests: int = Field(20, ge=1)
    """The fewest requests that make a mean."""

    def rule(self, name: str) -> rules.Rule:
        return rules.MeanLatencyRule(name, self.limit, self.window, self.requests, self.critical)


class Checks(Criterion):
    """The daemon's own checks: a group, or some by name. Fails when they are unhealthy `failures` times in a row."""

    kind: Literal["checks"]
    group: Name | None = None
    """A group, as under `groups`."""
    checks: tuple[Name, ...] = ()
    """Checks by name, instead of a group."""
    failures: int = Field(2, ge=1)
    """How many times in a row it must fail to decide."""

    @model_validator(mode="after")
    def _names_one_or_the_other(self) -> Self:
        if bool(self.group) == bool(self.checks):
            raise ValueError("name either a group or a list of checks")
        return self

    def rule(self, name: str) -> rules.Rule:
        return rules.ObservedRule(name, self.failures, self.critical)


class Smoke(Criterion):
    """Requests that must be answered with the right status. Fails when one is not, `failures` times in a row."""

    kind: Literal["smoke"]
    requests: tuple[SmokeRequest, ...] = Field(min_length=1, max_length=50)
    """The requests, all sent at every look."""
    timeout: Duration = 5.0
    """How long an answer may take."""
    failures: int = Field(2, ge=1)
    """How many times in a row it must fail to decide."""
    startup: Span = 0.0
    """For how long from the gate's start it may fail before its first success: the candidate may still be starting."""

    def rule(self, name: str) -> rules.Rule:
        return rules.ObservedRule(name, self.failures, self.critical, self.startup)


AnyCriterion = Annotated[ErrorRate | Latency | MeanLatency | Checks | Smoke, Field(discriminator="kind")]
