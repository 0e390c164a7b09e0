"""The protocol of a dialect: one deploy tool's way to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from healthd_gates.api.operation import Operation
from healthd_gates.config.hooks import HookConfig
from healthd_gates.hooks.runs import Runs


class Dialect(Protocol):
    """One tool's way to ask. Its calls are served whether or not a hook of its kind is configured: what is not
    configured does not exist, and its callers get 404.
    """

    config_model: ClassVar[type[HookConfig]]

    def __init__(self, runs: Runs) -> None: ...

    def operations(self) -> Sequence[Operation]: ...
