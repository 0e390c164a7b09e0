"""The events that a double was sent, and which of them a query's conditions select."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_CONDITION = re.compile(r"""\s*([\w.@]+)\s*(<=|>=|!=|=|<|>)\s*(?:'([^']*)'|"([^"]*)"|([\w.+-]+))\s*""")


@dataclass(frozen=True)
class Event:
    """Something that happened `at` a time, in seconds since 1970, and can be seen from `known` on."""

    at: float
    fields: Mapping[str, str | float]
    known: float


@dataclass
class Store:
    """All events. `now` is the double's clock: what arrives later than it is not seen yet."""

    now: float
    events: list[Event] = field(default_factory=list)

    def add(self, at: float, count: int = 1, late: float = 0.0, **fields: str | float) -> None:
        """Add `count` events at a time, which arrive `late` seconds later."""
        self.events += [Event(at, fields, at + late)] * count

    def found(self, conditions: Iterable[str]) -> list[Event]:
        """Return the events that have arrived and that fit all conditions."""
        asked = [condition(text) for text in conditions]
        return [each for each in self.events if each.known <= self.now and all(fits(each, one) for one in asked)]


def condition(text: str) -> tuple[str, str, str | float]:
    """Read `name = 'text'` or `name >= 500`. Raises ValueError for anything else."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    name, operator, *texts = found.groups()
    quoted = next((each for each in texts[:2] if each is not None), None)
    return name, operator, float(texts[2]) if quoted is None else quoted


def fits(event: Event, one: tuple[str, str, str | float]) -> bool:
    """True if an event has the field, of the type, and it compares so."""
    name, operator, value = one
    has = event.fields.get(name)
    if isinstance(has, str) is not isinstance(value, str) or has is None:
        return False
    if isinstance(has, str) or isinstance(value, str):
        return (has == value) is (operator == "=")
    return {
        "=": has == value,
        "!=": has != value,
        "<": has < value,
        "<=": has <= value,
        ">": has > value,
        ">=": has >= value,
    }[operator]
