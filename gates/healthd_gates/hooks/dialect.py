"""The protocol of a dialect: the way in which one deploy tool asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from healthd_gates.api.operation import Operation
from healthd_gates.config.hooks.contract import HookConfig
from healthd_gates.hooks.runs import Runs


class Dialect(Protocol):
    """The protocol of one tool. Its calls are served even if no hook of its kind is configured: a hook that is not
    configured does not exist, and its callers get 404.
    """

    config_model: ClassVar[type[HookConfig]]

    def __init__(self, runs: Runs) -> None: ...

    def operations(self) -> Sequence[Operation]: ...
