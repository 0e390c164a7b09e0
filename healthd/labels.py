"""Labels of checks and services: short texts by name, such as `team: payments`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
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


def matches(text: str, patterns: Collection[str]) -> bool:
    """True if the text is as one of the patterns, in which `*` matches any text and nothing else is special."""
    return any(fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]")) for pattern in patterns)
