"""Configuration in force, held in one place. Code that needs an option reads it here when needed and keeps no copy: so
a reload reaches everything at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

ModelT = TypeVar("ModelT", bound=BaseModel)
ModelT_co = TypeVar("ModelT_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True, slots=True)
class NotInForce:
    """Configuration that was read and is not in force, since the first of the attempts: as it was `refused`, or, of
    some options, until a `restart`. The problems hold no secret."""

    status: Literal["refused", "restart"]
    since: datetime
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TakenAway:
    """All that one reload took away and no later one brought back, in words, such as `notifiers chat, mail`."""

    at: datetime
    gone: tuple[str, ...]


class Current(Protocol[ModelT_co]):
    """Read access to the configuration in force."""

    @property
    def now(self) -> ModelT_co: ...

    @property
    def revision(self) -> int: ...


class InForce(Generic[ModelT]):
    """Configuration in force, to read and to replace."""

    def __init__(self, settings: ModelT, *, until_restart: Iterable[str] = ()) -> None:
        """Store the settings. `until_restart` names the options, such as `http.listen`, that stay unchanged until a
        restart."""
        self._now, self._until_restart = settings, tuple(until_restart)
        self._revision = 0

    @property
    def now(self) -> ModelT:
        return self._now

    @property
    def revision(self) -> int:
        """Number that grows with each reload, for code that caches something derived from the configuration."""
        return self._revision

    def replace(self, settings: ModelT) -> list[str]:
        """Replace the configuration; return the names of the changed options that need a restart. Those keep their
        value from the start everywhere: two values of one option are worse than an old one."""
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
    """Return a copy in which one option has another value."""
    first, *rest = steps
    return model.model_copy(update={first: _with(getattr(model, first), rest, value) if rest else value})
