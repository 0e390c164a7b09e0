"""Policies as validated models, and their conversion to the rules that the judge reads.

The built-in policies are in `config.builtin_policies`; the options of a service are in `config.settings`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from healthd.config.model import Model, Name
from healthd.units import Duration, Ratio, Span
from healthd_gates.config.allowance import Allowance
from healthd_gates.config.ramp import Ramp
from healthd_gates.criteria import AnyCriterion
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.judge import rules


class Observe(Model):
    """Time in which evidence is collected, counted from the end of `initial_delay`."""

    min: Span = 120.0
    """Shortest time before a pass, however good the numbers."""
    max: Span = 1800.0
    """Longest time before a verdict."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be shorter than min")
        return self


class Risk(Model):
    """The stated probabilities of rolling back a healthy release, and of passing a harmful one early. No
    finite evidence could decide at 0% or 100%."""

    false_rollback: Annotated[Ratio, Field(gt=0, lt=1)] = 0.01
    """The highest accepted probability that a healthy release fails."""
    false_pass: Annotated[Ratio, Field(gt=0, lt=1)] = 0.05
    """The highest accepted probability that a harmful release passes early."""


class Policy(Model):
    """The criteria, times, risk and actions of one kind of gate."""

    # In a file, a policy of a built-in name leaves out what it does not change.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    template: str | None = None
    """Name of a template under `templates.policies` whose options apply where this entry has none."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Values for `${values.KEY}` in this entry and its template."""
    initial_delay: Span = 30.0
    """Time after the switch in which only a catastrophe decides."""
    exposure: Literal["all", "part"] = "part"
    """The share of the traffic that the candidate gets: with `all`, no pass while the baseline that the request names
    still has most of it."""
    interval: Annotated[Duration, Field(ge=1)] = 5.0
    """Time between two evaluations of the evidence."""
    observe: Observe = Observe()
    """Time in which evidence is collected."""
    blip: Span = 10.0
    """A disturbance of this length does not decide alone; a longer time is safer where errors come in bursts, and
    slower."""
    risk: Risk = Risk()
    """The accepted risk of a wrong verdict."""
    criteria: tuple[AnyCriterion, ...] = Field(min_length=1)
    """The criteria that must hold."""
    mode: Literal["decide", "observe"] = "decide"
    """`observe`: the gate judges and tells, every deploy passes, and no action follows."""
    ramp: Ramp | None = None
    """Widens the release by evidence, from nothing to all of the traffic, instead of judging it at the share that it
    has."""
    allowance: Allowance | None = None
    """Tells a caller that sets the share itself how wide the evidence allows it to be; the release is judged as
    without."""
    inconclusive: Literal["fail", "pass", "hold"] = "fail"
    """The verdict that counts if the evidence decides nothing; `hold` leaves it to a person."""
    hold_timeout: Duration = 86400.0
    """Timeout after which a held gate counts as failed."""
    watch: Span = 0.0
    """Time after a pass in which a late regression still causes a rollback."""
    confirm_timeout: Span = 120.0
    """Time after a rollback in which the gate waits for the baseline to take the traffic and recover."""
    quarantine: bool = True
    """True if a version that failed may not be deployed again until it is released."""
    on_fail: tuple[Name, ...] | None = None
    """Actions on a fail and on a late regression, instead of the service's."""
    on_ramp: tuple[Name, ...] | None = None
    """Actions that set the candidate's share of the traffic, instead of the service's."""
    on_pass: tuple[Name, ...] | None = None
    """Actions on a pass, instead of the service's."""
    on_inconclusive: tuple[Name, ...] | None = None
    """Actions when an inconclusive gate counts as failed, instead of the service's."""
    on_loss: tuple[Name, ...] | None = None
    """Actions when the candidate had traffic and lost it, or its numbers stopped, and that counts as failed; those of
    `on_fail` unless given. Where they are given, also when it is the source that cannot be asked."""

    @model_validator(mode="after")
    def _criteria_can_decide(self) -> Self:
        names = list(self.named_criteria)
        if len(names) < len(self.criteria):
            raise ValueError("two criteria have the same name: give each of them a name of its own")
        if not any(criterion.critical for criterion in self.criteria):
            raise ValueError("at least one criterion must be critical, or nothing could ever fail")
        self._splits_one_way()
        if self.watch and not any(criterion.critical and criterion.reads_traffic for criterion in self.criteria):
            raise ValueError("a watch needs a critical criterion of traffic: error_rate, latency or mean_latency")
        return self

    def _splits_one_way(self) -> None:
        """Raise ValueError if one source were to split its requests by two labels."""
        by: dict[str | None, CriterionConfig] = {}
        for each in (each for each in self.criteria if each.split_by is not None):
            if by.setdefault(each.named_source, each).split_by != each.split_by:
                raise ValueError(
                    f"criterion {each.name} splits by {each.split_by}, and {by[each.named_source].name} by "
                    f"{by[each.named_source].split_by}: a source is split by one label"
                )

    @field_validator("ramp")
    @classmethod
    def _can_ramp(cls, ramp: Ramp | None, info: ValidationInfo) -> Ramp | None:
        if ramp is None or "criteria" not in info.data:
            return ramp
        _refuse_without_comparison(info.data["criteria"])
        if info.data.get("exposure") == "all":
            raise ValueError("begins with a part of the traffic: leave out `exposure: all`")
        if info.data.get("mode") == "observe":
            raise ValueError("gives the release its traffic, and with `mode: observe` nothing follows: leave one out")
        return ramp

    @field_validator("allowance")
    @classmethod
    def _can_allow(cls, allowance: Allowance | None, info: ValidationInfo) -> Allowance | None:
        if allowance is None or "criteria" not in info.data:
            return allowance
        if info.data.get("ramp") is not None:
            raise ValueError("is for callers that set the weight, which a ramp does itself: leave one of them out")
        _refuse_without_comparison(info.data["criteria"])
        if info.data.get("exposure") == "all":
            raise ValueError("is about a part of the traffic: leave out `exposure: all`")
        return allowance

    @property
    def observes(self) -> bool:
        """True if nothing follows from a verdict."""
        return self.mode == "observe"

    @property
    def named_criteria(self) -> dict[str, CriterionConfig]:
        """The criteria by name; the kind is the default name."""
        return {criterion.name: criterion for criterion in self.criteria}

    @property
    def reads_traffic(self) -> bool:
        """True if a criterion reads the numbers of a source."""
        return any(criterion.reads_traffic for criterion in self.criteria)

    @property
    def needs_source(self) -> bool:
        """True if a criterion reads the numbers of the service's first source."""
        return any(criterion.reads_traffic and not criterion.named_source for criterion in self.criteria)

    @property
    def needs_target(self) -> bool:
        """True if a criterion sends requests to the candidate itself."""
        return any(criterion.sends_requests for criterion in self.criteria)

    @property
    def needs_baseline(self) -> bool:
        """True if a criterion compares with a version that runs beside the candidate."""
        return self._compares(rules.Against.CONCURRENT)

    @property
    def compares_traffic(self) -> bool:
        """True if it compares the counts of the service's first source."""
        concurrent = (each for each in self.criteria if each.compares_with is rules.Against.CONCURRENT)
        return any(criterion.stream is None for criterion in concurrent)

    @property
    def needs_history(self) -> bool:
        """True if a criterion compares with the time before the switch."""
        return self._compares(rules.Against.HISTORY) or self._compares(rules.Against.BEFORE)

    def _compares(self, against: rules.Against) -> bool:
        return any(criterion.compares_with is against for criterion in self.criteria)

    def verdict_rules(self) -> rules.Rules:
        """Return the judge's rules for the verdict."""
        longest = self.observe.max + (self.ramp.longest if self.ramp is not None else 0.0)
        timing = rules.Timing(self.interval, self.initial_delay, self.observe.min, longest, self.blip)
        return rules.Rules(self.criteria, self._risk, timing)

    def watch_rules(self) -> rules.Rules:
        """Return the judge's rules for the watch: only harm ends it early, and only traffic shows harm.

        A dependency that fails an hour after the switch says nothing about the candidate.
        """
        timing = rules.Timing(self.interval, 0.0, self.watch, self.watch, self.blip)
        traffic = tuple(criterion for criterion in self.criteria if criterion.reads_traffic)
        return rules.Rules(traffic, self._risk, timing)

    @property
    def _risk(self) -> rules.Risk:
        return rules.Risk(self.risk.false_rollback, self.risk.false_pass)


def _refuse_without_comparison(criteria: Iterable[CriterionConfig]) -> None:
    """Raise ValueError where no critical criterion compares with the version beside it: the bound on harm is its."""
    if not any(each.critical and each.compares_with is rules.Against.CONCURRENT for each in criteria):
        raise ValueError(
            "needs a critical criterion that compares with the version beside it: give error_rate "
            "`compare: {to: concurrent}`"
        )
