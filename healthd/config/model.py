"""Base of the models of the configuration, and the names in it. Programs that read no configuration, such as the client
of the API, need no more than this."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from healthd.wording import shape


def one_line(text: str) -> str:
    """Return a text of a caller that people read in lists. Raises ValueError where it could pass for more than one
    line, or rewrite one."""
    if not text.isprintable():
        raise ValueError("must be one line: it has a line break or another character that cannot be printed")
    return text


Reason = Annotated[
    str,
    Field(min_length=1, max_length=200),
    StringConstraints(strip_whitespace=True),
    AfterValidator(one_line),
]
"""Reason that a caller or the configuration gives."""

Name = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$",
            "a name of at most 64 letters, digits, dots, dashes and underscores that begins with a letter or digit",
        )
    ),
]


class Model(BaseModel):
    """Frozen model that refuses an unknown key: a typing error must not switch something off silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
