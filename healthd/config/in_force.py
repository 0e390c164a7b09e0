"""The configuration in force, held in one place. Whoever needs an option asks here at the moment of need and keeps no
copy: so a reload reaches everybody, and nobody halfway."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

ModelT = TypeVar("ModelT", bound=BaseModel)
ModelT_co = TypeVar("ModelT_co", bound=BaseModel, covariant=True)


class Current(Protocol[ModelT_co]):
    """The configuration in force, to read."""

    @property
    def now(self) -> ModelT_co: ...

    @property
    def revision(self) -> int: ...


class InForce(Generic[ModelT]):
    """The configuration in force, to read and to replace."""

    def __init__(self, settings: ModelT, *, until_restart: Iterable[str] = ()) -> None:
        """`until_restart` are the options, such as `http.listen`, that stay as they are until the next start."""
        self._now, self._until_restart = settings, tuple(until_restart)
        self._revision = 0

    @property
    def now(self) -> ModelT:
        return self._now

    @property
    def revision(self) -> int:
        """Grows with each reload, for whoever keeps something that was made of the configuration."""
        return self._revision

    def replace(self, settings: ModelT) -> list[str]:
        """Take another configuration; the names of the options in it that wait for a restart. Of those the value
        from the start stays in force for everybody: two values of one option are worse than an old one."""
        waiting = []
        for option in self._until_restart:
            steps = option.split(".")
            old, new = reduce(getattr, steps, self._now), reduce(getattr, steps, settings)
            if old != new:
                waiting.append(option)
                settings = _with(settings, steps, old)
        self._now = settings
        self._revision += 1
        return waiting


def _with(model: Any, steps: list[str], value: object) -> Any:
    """A copy in which one option has another value."""
    first, *rest = steps
    return model.model_copy(update={first: _with(getattr(model, first), rest, value) if rest else value})
