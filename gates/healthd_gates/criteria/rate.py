"""Events of the team's own: restarts, logged errors, new issues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from healthd_gates.criteria.comparison import Beside, Shared
from healthd_gates.domain.evidence import Events
from healthd_gates.sources.contract import Series

if TYPE_CHECKING:
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past
    from healthd_gates.judge.rate import Exposure

_UNITS = {"second": "a second", "instance": "a second and instance", "request": "a request"}


def _exposure(per: str) -> Exposure:
    def exposure(events: Events, seconds: float) -> float | None:
        if per == "request":
            return events.requests
        seconds = seconds if events.seconds is None else events.seconds
        if per == "instance":
            return seconds * events.instances if events.instances else None
        return seconds

    return exposure


class Rate(Shared):
    """Events a second, instance or request, such as restarts or logged errors: no more than `limit`, and no more than
    `compare` allows. It proves harm, and no safety."""

    kind: Literal["rate"] = "rate"
    events: str = Field(min_length=1, max_length=2000)
    """The counter of the events, in the language of the source."""
    per: Literal["second", "instance", "request"] = "second"
    """The exposure: `second`, `instance` (a second of each instance) or `request`."""
    requests: str | None = Field(None, min_length=1, max_length=2000)
    """The counter of the requests, with `per: request`."""
    up: str | None = Field(None, min_length=1, max_length=2000)
    """A series that is above 0 while the events are counted, so that none of them is known to be none; the source's
    own `up` unless given."""
    limit: float | None = Field(None, gt=0, allow_inf_nan=False)
    """The highest number of events in a unit of exposure."""
    compare: Beside | None = None
    """The comparison with the baseline that runs beside the candidate, beside the limit or instead of it."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.limit is None and self.compare is None:
            raise ValueError("a limit or something to compare with is needed")
        if (self.per == "request") != (self.requests is not None):
            raise ValueError("requests belongs to per: request, and is needed there: the counter of the requests")
        return self

    @property
    def series(self) -> Series:
        parts = {"events": self.events, "requests": self.requests, "up": self.up}
        there = {part: text for part, text in parts.items() if text is not None}
        return Series(self.name, "events", there, by_instance=self.per == "instance")

    @property
    def ratio(self) -> float | None:
        """The tolerated ratio to the baseline."""
        return None if self.compare is None else self.compare.tolerated

    @property
    def unit(self) -> str:
        """The unit of exposure, for people."""
        return _UNITS[self.per]

    def build(self, frame: Frame, past: Past) -> Criterion:
        from healthd_gates.judge import rate

        return rate.Rate(self, frame, past, _exposure(self.per))
