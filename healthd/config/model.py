"""Base of the models of the configuration, and the names in it. Programs that read no configuration, such as the client
of the API, need no more than this."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from healthd.wording import shape

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
