"""The API's documents about a release's width: a ramp that healthd drives, and the weight that a caller may set."""

from __future__ import annotations

from typing import Self

from healthd_gates.domain import ramp_wording
from healthd_gates.domain.allowance import sentence as allowance_sentence
from healthd_gates.domain.ramp import Ramp
from healthd_gates.schema.document import Moment, Shown, plain


class PauseDocument(Shown):
    """A pause of a ramp: by a person, `by`, or by the policy, which asks one `before` a weight. `number` counts those
    of a gate."""

    number: int
    since: Moment
    by: str | None
    reason: str
    before: float | None


class RampDocument(Shown):
    """Width of a release: weights and shares are fractions, `budget` and `spent` requests, `traffic` requests a second,
    `reaction` seconds.

    `weight` was ordered last, by order number `step`, and is done since `done_at`; `share` is what the candidate has
    been seen to get since. `allowed_weight` is the most that the evidence allows: whoever sets weights without healthd
    gives the candidate no more. `held` says why it is not widened now, `why` why it was last, `until` is when the gate
    ends if it has not reached all the traffic, `full_at` when it had. `pause` is the one that it is in, which a person
    ends.
    """

    weight: float
    allowed_weight: float
    share: float | None
    step: int
    since: Moment | None
    done_at: Moment | None
    full_at: Moment | None
    until: Moment
    budget: float | None
    spent: float
    excess: float
    traffic: float
    reaction: float
    held: str
    why: str
    pause: PauseDocument | None = None

    @classmethod
    def of(cls, ramp: Ramp) -> Self:
        own = {name: getattr(ramp, name) for name in cls.model_fields if name not in ("allowed_weight", "pause")}
        paused = plain(PauseDocument, ramp.pause)
        return cls(**own, allowed_weight=max(ramp.weight, min(1.0, ramp.allowed)), pause=paused)

    @property
    def width(self) -> str:
        """Its weight as people write it."""
        return ramp_wording.percent(self.weight)

    @property
    def told(self) -> str:
        """Its weight, the share that is seen, the budget, and what holds it, for people."""
        return ramp_wording.sentence(self)


class AllowanceDocument(Shown):
    """Weight that a caller may set who sets it itself: fractions of the traffic, `budget` and `spent` requests,
    `traffic` requests a second, `reaction` seconds.

    `allowed_weight` is the most that the evidence allows, `share` what the candidate was seen to get lately, `excess`
    the bound on its bad requests beyond the baseline's. `exceeded` is true if it has more than the evidence allows:
    healthd says so, and moves nothing. `held` says why no more is allowed for now.
    """

    allowed_weight: float
    share: float | None
    budget: float
    spent: float
    excess: float
    traffic: float
    reaction: float
    exceeded: bool
    held: str

    @property
    def told(self) -> str:
        """The allowed weight and the share that it has, for people."""
        return allowance_sentence(self)
