"""Names of objects, as Kubernetes has them."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from healthd.wording import shape

ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
            "a name as Kubernetes has it: small letters, digits, dashes and dots",
        )
    ),
]
