"""Routes of notifications to receivers: `routes:` of the configuration."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from healthd.labels import matches
from healthd.notifiers.notice import Notice, Severity
from healthd.units import Duration, Names


class Route(BaseModel):
    """Route that sends some notifications to some notifiers."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    environment: Names = ()
    """Environments in which the route applies; all by default."""
    to: Names = Field(min_length=1)
    """Names of the notifiers."""
    checks: Names = ()
    """Checks of the route; `*` matches any text. With `services` alone, no check."""
    services: Names = ()
    """Services whose gates the route covers; `*` matches any text. With `checks` alone, no gate."""
    labels: dict[str, Names] = Field(default_factory=dict)
    """Labels that the check or service must have, each with one of these values; `*` matches any text."""
    severity: Severity = Severity.INFO
    """Minimum severity: info, warning or critical."""
    after: Duration | None = None
    """Time for which something must stay as it is, unacknowledged, before it is sent this way: escalation."""

    def holds_in(self, environment: str) -> bool:
        return not self.environment or environment in self.environment

    def is_due(self, notice: Notice, now: datetime, *, acknowledged: bool) -> bool:
        """True if the route need not wait any more: what fires has for long enough, and nobody has acknowledged it."""
        if self.after is None or not notice.firing:
            return True
        return not acknowledged and now - notice.since >= timedelta(seconds=self.after)

    def takes(self, notice: Notice) -> bool:
        """True if the route sends a notice. The end of something goes to the receivers of its beginning."""
        if (notice.firing or notice.always) and not notice.severity.reaches(self.severity):
            return False
        if not all(matches(notice.labels.get(name, ""), values) for name, values in self.labels.items()):
            return False
        return self.concerns(notice.about, notice.name)

    def concerns(self, about: str, name: str) -> bool:
        """True if the route is for a check, or for a service's gates, of this name, whatever its labels."""
        if not self.checks and not self.services:
            return True
        return matches(name, self.checks if about == "check" else self.services)
