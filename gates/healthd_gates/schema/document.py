"""The common base of every document of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from healthd.units import stamp

Moment = Annotated[
    datetime,
    PlainSerializer(stamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Shown(BaseModel):
    """A document of an answer. A number that JSON does not have (an infinity) is null."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null", defer_build=True)


ShownT = TypeVar("ShownT", bound=Shown)


def plain(model: type[ShownT], value: object | None) -> ShownT | None:
    """Return the document of a value that has its attributes; None of None."""
    return None if value is None else model.model_validate(value, from_attributes=True)
