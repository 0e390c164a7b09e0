"""One option of a model as a row of a table: how it is written, its type with its bounds, its default, its meaning."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from copy import copy
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt, MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from healthd.config.field_docs import field_docs
from healthd.runtime.receiver_address import ReceiverAddress
from healthd.units import parse_duration, parse_ratio, parse_size, show_duration, show_ratio

Shown = Callable[[Any], str]
_UNITS: dict[Any, tuple[str, Shown]] = {
    parse_duration: ("duration", lambda seconds: show_duration(seconds) if seconds else "0s"),
    parse_ratio: ("percentage", show_ratio),
    parse_size: ("size", str),
}
_PLAIN = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    ReceiverAddress: "secret text",
    SecretStr: "secret text",
    datetime: "time",
    Path: "path",
    Any: "anything",
}
Link = Callable[[type[BaseModel]], str]
"""What to write for an inner model."""


def own_fields(model: type[BaseModel], without: type[BaseModel] | None) -> Iterator[tuple[str, FieldInfo]]:
    """What is worth a row: `kind` stands in the heading, and what all of a kind have in a table of its own, unless its
    default is another one here."""
    shared = without.model_fields if without is not None else {}
    docs = {**(field_docs(without) if without is not None else {}), **field_docs(model)}
    for name, field in model.model_fields.items():
        if name == "kind" or (name in shared and shared[name].default == field.default):
            continue
        field = copy(field)
        field.description = field.description or docs.get(name)
        yield name, field


def row(name: str, field: FieldInfo, link: Link, anchor: str = "", note: str = "") -> str:
    key = f'<a id="{anchor}"></a>`{field.alias or name}`' if anchor else f"`{field.alias or name}`"
    meaning = " ".join(f"{field.description or ''} {note}".split()).replace("|", "\\|")
    return f"| {key} | {type_of(field.annotation, field.metadata, link)} | {default_of(field)} | {meaning} |"


def type_of(annotation: Any, metadata: list[Any], link: Link) -> str:
    """The type in the words of a person, with its bounds."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = [*more, *metadata]
    unit = _unit(metadata)
    name = unit[0] if unit else _plain(annotation, link)
    if name == "duration" and any(Ge(0) in getattr(each, "metadata", [each]) for each in metadata):
        name = "duration or `0s`"
    measured = unit or _unit_within(annotation)
    return "".join([name, *_bounds(metadata, measured[1] if measured else str)])


def _unit(metadata: list[Any]) -> tuple[str, Shown] | None:
    found = [item.func for item in metadata if isinstance(item, BeforeValidator)]
    return next((_UNITS[func] for func in found if func in _UNITS), None)


def _unit_within(annotation: Any) -> tuple[str, Shown] | None:
    """That of an option which may be unset."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return next((unit for part in parts if (unit := _unit(list(get_args(part)[1:])))), None)


def _plain(annotation: Any, link: Link) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{_written(value)}`" for value in arguments)
    if origin in (Union, UnionType):
        parts = [type_of(part, [], link) for part in arguments if part is not NoneType]
        return " or ".join(dict.fromkeys(parts))
    if origin is dict:
        return f"map of names to {type_of(arguments[1], [], link)}"
    if origin in (tuple, list, frozenset, set):
        return f"list of {type_of(arguments[0], [], link)}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return link(annotation)
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return " \\| ".join(f"`{member.value}`" for member in annotation)
    return _PLAIN.get(annotation, "text")


def _bounds(metadata: list[Any], shown: Shown) -> Iterator[str]:
    """Yield the narrowest of the bounds, but for those that all values of the type have."""
    parts = [part for each in metadata for part in getattr(each, "metadata", [each])]
    least, above = max(_of(parts, Ge), default=None), max(_of(parts, Gt), default=None)
    most, below = min(_of(parts, Le), default=None), min(_of(parts, Lt), default=None)
    told = [
        f"more than {shown(above)}" if above is not None and (least is None or above >= least) else "",
        f"at least {shown(least)}" if least is not None and (above is None or least > above) else "",
        f"less than {shown(below)}" if below is not None and (most is None or below <= most) else "",
        f"at most {shown(most)}" if most is not None and (below is None or most < below) else "",
    ]
    for item in parts:
        match item:
            case MinLen(min_length=few) | Len(min_length=few) if few:
                told.append(f"at least {few}")
            case MaxLen(max_length=many) if many is not None:
                told.append(f"at most {many}")
    all_have = ("", "more than 0s", "at least 0s", "at least 0%", "at most 100%")
    if told := [text for text in told if text not in all_have]:
        yield ", " + ", ".join(dict.fromkeys(told))


def _of(parts: list[Any], kind: type) -> list[Any]:
    """Return the limits of one kind, each of which has a single field."""
    return [getattr(part, kind.__name__.lower()) for part in parts if isinstance(part, kind)]


def default_of(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "" if field.default_factory else "**required**"
    if value is None or value == () or value == {} or isinstance(value, BaseModel):
        return ""
    unit = _unit(field.metadata) or _unit_within(field.annotation)
    return f"`{unit[1](value) if unit else _written(value)}`"


def _written(value: Any) -> str:
    """A value as it is written in a file."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, default=str).strip('"')
