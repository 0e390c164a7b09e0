"""A source that has a past and can be inspected, as a script says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.sources.contract import SourceConfig
from healthd_gates.sources.inspection import Inspection
from tests.fakes.gates import Scripted, ScriptedConfig

At = Callable[[datetime], tuple[Counts | None, Counts | None]]


def busy(_at: datetime) -> tuple[Counts | None, Counts | None]:
    return Counts(100, 0), None


class RememberingConfig(ScriptedConfig):
    kind: Literal["remembering"] = "remembering"  # type: ignore[assignment]


class Remembering(Scripted):
    """Says of each interval what `past` does, and of itself what `state` does; `closed` counts the readers that were
    let go."""

    config_model: ClassVar[type[SourceConfig]] = RememberingConfig
    past: ClassVar[At] = staticmethod(busy)
    state: ClassVar[Callable[[], Any]] = lambda: Inspection({})
    asked_past: ClassVar[list[tuple[datetime, datetime, float]]] = []
    closed: ClassVar[int] = 0

    async def history(self, start: datetime, end: datetime, step: float) -> list[Evidence]:
        Remembering.asked_past.append((start, end, step))
        count = int((end - start).total_seconds() // step)
        moments = [start + timedelta(seconds=step * (number + 1)) for number in range(count)]
        return [Evidence(at, step, *Remembering.past(at)) for at in moments]

    async def inspect(self) -> Inspection:
        state = Remembering.state()
        found: Inspection = await state if hasattr(state, "__await__") else state
        return found

    async def close(self) -> None:
        Remembering.closed += 1
