"""What every document of the API has in common. The documents themselves are beside this."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from healthd.web.documents import stamp

Moment = Annotated[
    datetime,
    PlainSerializer(stamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Shown(BaseModel):
    """Something that is answered. What is not a number in JSON (an infinity) is null."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")
