"""The options of a ramp: how a policy widens a release instead of judging it at all of its traffic at once."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from healthd.config.model import Model
from healthd.units import Duration, Ratio
from healthd_gates.judge.pace import GRAIN, Pace


def requests_not_share(value: Any) -> Any:
    """Refuse a share: it is a number of requests."""
    if isinstance(value, str) and "%" in value:
        raise ValueError(f"{value!r} is a share, and this is a number of requests: write one, such as 100")
    return value


class Ramp(Model):
    """Growth of the candidate's share of the traffic."""

    budget: Annotated[float | None, BeforeValidator(requests_not_share)] = Field(
        None, gt=0, le=1e12, allow_inf_nan=False
    )
    """The requests that may fail because of the release before it is taken back; 1 % of a minute's traffic unless
    given, and at least 20."""
    max_step: float = Field(4.0, gt=1, le=100)
    """The largest factor between a weight and the next."""
    timeout: Duration = 3600.0
    """Time after the initial delay within which all the traffic must be reached; else the gate ends inconclusive."""
    steps: tuple[Ratio, ...] = ()
    """Fixed weights instead: the evidence and the budget decide only when the next one comes."""
    pause_before: tuple[Ratio, ...] = ()
    """Weights before which it waits for a person, such as `[100%]`; the time of the ramp runs meanwhile."""
    step_timeout: Duration = 600.0
    """With `steps`, the time for each; the gate ends inconclusive after that of all of them."""

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        mine = ("max_step", "timeout") if self.steps else ("step_timeout",)
        for key in mine:
            if getattr(self, key) != type(self).model_fields[key].default:
                other = "step_timeout" if key == "timeout" else "steps" if self.steps else "timeout"
                with_steps = "with fixed steps" if self.steps else "without fixed steps"
                raise ValueError(f"{key} has no meaning {with_steps}: leave it out, {other} says it")
        if any(not GRAIN <= step <= 1 for step in self.steps):
            raise ValueError(f"steps lie between {GRAIN:.2%} and 100%, which is all of the traffic")
        if self.steps and self.steps[0] >= 1:
            raise ValueError(
                "steps begin with 100%, beside which no baseline is left: begin with less, such as [1%, 5%, 25%]"
            )
        if any(not low < high for low, high in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps must grow, such as [1%, 5%, 25%, 100%]: a ramp is never narrowed")
        if any(not GRAIN <= mark <= 1 for mark in self.pause_before):
            raise ValueError(f"pause_before has weights between {GRAIN:.2%} and 100%, which is all of the traffic")
        return self

    @property
    def longest(self) -> float:
        """Seconds until all the traffic must be reached."""
        return self.step_timeout * len({*self.steps, 1.0}) if self.steps else self.timeout

    @property
    def pace(self) -> Pace:
        """Pace at which the judge's arithmetic may widen."""
        return Pace(steps=self.steps) if self.steps else Pace(self.max_step)
