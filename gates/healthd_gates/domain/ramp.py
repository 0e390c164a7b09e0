"""The ramp of a gate: the weight that the candidate has, what the evidence allows, and what holds it. `store` stores
it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of a ramp, from `since` on: by a person, `by`, with a `reason`, or by the policy, which asks one `before`
    a weight. `number` counts those of a gate from 1."""

    number: int
    since: datetime
    by: str | None = None
    reason: str = ""
    before: float | None = None

    @property
    def sentence(self) -> str:
        """Reason for which it waits, for people."""
        if self.before is not None:
            return f"it waits for a person before {100 * self.before:.4g} %"
        return f"{self.by} has paused it: {self.reason.rstrip('.')}"


@dataclass(frozen=True, slots=True)
class Course:
    """Course of a ramp after a look: at the `weight` of order number `step`, which `is_done` or under way. A change of
    weight had taken `action_seconds` at most, None before the first was done. `pause` is the one that it was in."""

    step: int
    weight: float
    is_done: bool
    action_seconds: float | None = None
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Ramp:
    """A release that its gate widens.

    `weight` is the share of the traffic (0 to 1) that was ordered last, by order number `step`, at `since`; `done_at`
    is the look that found its actions done, None until then. `until` is when the gate ends if full weight is not
    reached, `full_at` when the candidate was seen to have all the traffic.

    `share` is the candidate's part of the requests since `done_at`, None before any. `budget` and `spent` are requests,
    `excess` is the bound on the candidate's excess of bad ones, `traffic` is in requests a second, `reaction` in
    seconds; `allowed` is the weight that follows. `action_seconds` is the longest time that a change of weight took.
    `held` says why the weight is not changed now, empty if it may be, and `held_since` for how long something has stood
    in its way. `why` is the reason of the last change. `pause` is the pause that it is in, `pauses` how many there
    were, `cleared` the highest weight before which a person was asked and let it go on.
    """

    until: datetime
    weight: float = 0.0
    step: int = 0
    since: datetime | None = None
    done_at: datetime | None = None
    full_at: datetime | None = None
    share: float | None = None
    budget: float | None = None
    spent: float = 0.0
    excess: float = 1.0
    traffic: float = 0.0
    reaction: float = 0.0
    allowed: float = 0.0
    action_seconds: float | None = None
    held: str = ""
    held_since: datetime | None = None
    why: str = ""
    pause: Pause | None = None
    pauses: int = 0
    cleared: float = 0.0

    @property
    def course(self) -> Course:
        """Course that a replay of it follows."""
        return Course(self.step, self.weight, self.done_at is not None, self.action_seconds, self.pause)

    @property
    def purpose(self) -> str:
        """Purpose of the actions of the last step: part of their keys, so that each step is a new order."""
        return f"ramp-{self.step}"

    @property
    def is_under_way(self) -> bool:
        """True if the actions of the last step are not known to be done."""
        return self.step > 0 and self.done_at is None

    @property
    def is_full(self) -> bool:
        """True if the candidate was seen to have all the traffic."""
        return self.full_at is not None
