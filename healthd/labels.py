"""Labels of checks and services: short texts by name, such as `team: payments`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import StringConstraints

from healthd.wording import shape

MOST_LABELS = 16
LabelName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[a-zA-Z_][a-zA-Z0-9_]{0,63}$",
            "a label's name: letters, digits and underscores, not beginning with a digit",
        )
    ),
]
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Labels = Mapping[LabelName, LabelValue]
