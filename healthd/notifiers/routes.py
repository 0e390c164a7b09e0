"""Who is told of what: the `routes:` of the configuration."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from healthd.notifiers.notice import Notice, Severity


def _several(raw: Any) -> Any:
    return (raw,) if isinstance(raw, str) else raw


Names = Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])]


class Route(BaseModel):
    """Who is told of what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    environment: Names = ()
    """The environments in which it counts; all unless given."""
    to: Names = Field(min_length=1)
    """Names of notifiers."""
    checks: Names = ()
    """Only these checks; `*` stands for any text. With `services` alone, no check."""
    services: Names = ()
    """Only gates of these services; `*` stands for any text. With `checks` alone, no gate."""
    severity: Severity = Severity.INFO
    """From here up: info, warning or critical."""

    def holds_in(self, environment: str) -> bool:
        return not self.environment or environment in self.environment

    def takes(self, notice: Notice) -> bool:
        """The end of something is for whoever would have been told of its beginning."""
        if (notice.firing or notice.always) and not notice.severity.reaches(self.severity):
            return False
        if not self.checks and not self.services:
            return True
        patterns = self.checks if notice.about == "check" else self.services
        return any(fnmatchcase(notice.name, pattern) for pattern in patterns)
