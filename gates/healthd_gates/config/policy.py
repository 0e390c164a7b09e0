"""Policies as validated models, and how one becomes the rules that the judge reads.

The policies that ship are in `config.builtin_policies`; what a service says of itself is in `config.settings`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from healthd.config.settings import Model, Name
from healthd.units import Duration, Ratio, Span
from healthd_gates.criteria import AnyCriterion
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.judge import rules


class Observe(Model):
    """How long evidence is taken, counted from the end of the settle time."""

    min: Span = 120.0
    """No pass before it, however good the numbers."""
    max: Span = 1800.0
    """A verdict at the latest then."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be shorter than min")
        return self


class Risk(Model):
    """The stated probabilities of rolling back a healthy release, and of passing a harmful one early."""

    false_rollback: Ratio = 0.01
    """How probable it may be that a healthy release fails."""
    false_pass: Ratio = 0.05
    """How probable it may be that a harmful one passes early."""

    @model_validator(mode="after")
    def _are_probabilities(self) -> Self:
        if not (0 < self.false_rollback < 1 and 0 < self.false_pass < 1):
            raise ValueError("both lie between 0% and 100%: no finite evidence could decide at either end")
        return self


class Policy(Model):
    """What one kind of gate looks at, how long, at which risk, and what follows from each verdict."""

    # In a file, one of a shipped name leaves out what it does not change.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    initial_delay: Span = 30.0
    """Time after the switch in which only a catastrophe decides."""
    exposure: Literal["all", "part"] = "part"
    """How much of the traffic the candidate has: with `all`, no pass while the baseline that the request names still
    has most of it."""
    interval: Duration = 5.0
    """How often the evidence is looked at."""
    observe: Observe = Observe()
    """How long evidence is taken."""
    blip: Span = 10.0
    """A disturbance of this length does not decide alone; longer is safer where errors come in bursts, and slower."""
    risk: Risk = Risk()
    """The stated risk of a wrong verdict."""
    criteria: tuple[AnyCriterion, ...] = Field(min_length=1)
    """What must hold."""
    inconclusive: Literal["fail", "pass", "hold"] = "fail"
    """What it counts as when the evidence decides nothing; `hold` leaves it to a person."""
    hold_timeout: Duration = 86400.0
    """After it a held gate counts as failed."""
    watch: Span = 0.0
    """For how long after a pass a late regression still rolls back."""
    confirm_timeout: Span = 120.0
    """For how long after a rollback the baseline is watched for taking the traffic and recovering."""
    quarantine: bool = True
    """Whether a version that failed may not be tried again until it is released."""
    on_fail: tuple[Name, ...] | None = None
    """Actions on a fail and on a late regression, instead of the service's."""
    on_pass: tuple[Name, ...] | None = None
    """Actions on a pass, instead of the service's."""
    on_inconclusive: tuple[Name, ...] | None = None
    """Actions when an inconclusive gate counts as failed, instead of the service's."""
    on_loss: tuple[Name, ...] | None = None
    """Actions when the candidate had traffic and lost it, or its numbers stopped, and that counts as failed; those of
    `on_fail` unless given."""

    @model_validator(mode="after")
    def _criteria_can_decide(self) -> Self:
        names = list(self.named_criteria)
        if len(names) < len(self.criteria):
            raise ValueError("two criteria have the same name: give each of them a name of its own")
        if not any(criterion.critical for criterion in self.criteria):
            raise ValueError("at least one criterion must be critical, or nothing could ever fail")
        if self.watch and not any(criterion.critical and criterion.reads_traffic for criterion in self.criteria):
            raise ValueError("a watch needs a critical criterion of traffic: error_rate, latency or mean_latency")
        if self.interval < 1:
            raise ValueError("every must be at least 1s: no source counts more often")
        return self

    @property
    def named_criteria(self) -> dict[str, CriterionConfig]:
        """The criteria by name; where none is given, the kind is the name."""
        return {criterion.name: criterion for criterion in self.criteria}

    @property
    def needs_source(self) -> bool:
        """Whether it looks at traffic."""
        return any(criterion.reads_traffic for criterion in self.criteria)

    @property
    def needs_target(self) -> bool:
        """Whether it sends requests to the candidate itself."""
        return any(criterion.sends_requests for criterion in self.criteria)

    @property
    def needs_baseline(self) -> bool:
        """Whether a criterion compares with a version that runs beside the candidate."""
        return self._compares(rules.Against.CONCURRENT)

    @property
    def needs_history(self) -> bool:
        """Whether a criterion compares with the time before the switch."""
        return self._compares(rules.Against.HISTORY)

    def _compares(self, against: rules.Against) -> bool:
        return any(criterion.compares_with is against for criterion in self.criteria)

    def verdict_rules(self) -> rules.Rules:
        """What the judge is told for the verdict."""
        timing = rules.Timing(self.interval, self.initial_delay, self.observe.min, self.observe.max, self.blip)
        return rules.Rules(self.criteria, self._risk, timing)

    def watch_rules(self) -> rules.Rules:
        """What the judge is told for the watch: harm alone ends it early, and only traffic tells of harm.

        A dependency that fails an hour after the switch says nothing of the candidate.
        """
        timing = rules.Timing(self.interval, 0.0, self.watch, self.watch, self.blip)
        traffic = tuple(criterion for criterion in self.criteria if criterion.reads_traffic)
        return rules.Rules(traffic, self._risk, timing)

    @property
    def _risk(self) -> rules.Risk:
        return rules.Risk(self.risk.false_rollback, self.risk.false_pass)
