"""The name of an object of Kubernetes, as the hooks of its controllers are configured by."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from healthd.wording import shape

_NAME = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?"
ObjectName = Annotated[
    str,
    StringConstraints(pattern=shape(rf"^{_NAME}/{_NAME}$", "a namespace, a slash and a name, such as shop/api")),
]
