"""Options of a check `mongodb_query`, read without MongoDB's driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from bson import json_util
from bson.errors import BSONError
from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from healthd.checks.band import BandConfig
from healthd.checks.database import DatabaseConfig, Require
from healthd.checks.mongodb_driver import Driver, InstalledDriver
from healthd.checks.mongodb_options import CollectionName, MongoDBURI
from healthd.units import Duration

_WRITES = ("$out", "$merge")


COUNTED = "value"
"""Field of the document in which `filter` has its count."""


def _extended(value: Any) -> Any:
    """Return a value with what is written as MongoDB Extended JSON, such as `{$date: …}`, in its own type."""
    if isinstance(value, list | tuple):
        return [_extended(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    inner = {str(key): _extended(item) for key, item in value.items()}
    try:
        return json_util.object_hook(inner)
    except (BSONError, TypeError, ValueError, OverflowError, LookupError):
        raise ValueError(f"has a value of {', '.join(inner)} that MongoDB Extended JSON does not have") from None


Document = Annotated[dict[str, Any], AfterValidator(_extended)]


class MongoDBQueryConfig(DatabaseConfig, BandConfig):
    kind: Literal["mongodb_query"] = "mongodb_query"
    uri: MongoDBURI
    """Address, as that of a check `mongodb`."""
    collection: CollectionName
    """Collection as `database.collection`."""
    filter: Document | None = None
    """Query whose documents are counted; `{}` counts all. Values can be Extended JSON, such as `{$date: …}`."""
    pipeline: tuple[Document, ...] | None = Field(None, min_length=1, max_length=100)
    """Stages of an aggregation, instead of `filter`; the number is in the first document."""
    field: str = Field(COUNTED, min_length=1)
    """Field with the number in the document that `pipeline` finds."""
    empty: FiniteFloat | None = None
    """Number that counts where `pipeline` finds no document, as of an empty queue; by default that is unhealthy."""
    require: Require = Require.PRIMARY
    """Role of the member to ask: `primary`, `replica` (a secondary) or `any`."""
    driver: InstalledDriver = Driver.PYMONGO
    """Driver, as that of a check `mongodb`."""
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 5.0
    """Hard deadline of a probe; the server ends the query before it."""

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        if (self.filter is None) == (self.pipeline is None):
            raise ValueError("write filter, to count documents, or pipeline")
        if self.filter is not None and self.model_fields_set & {"field", "empty"}:
            raise ValueError("field and empty belong to pipeline: a filter counts, and finds 0 where nothing fits")
        for stage in self.pipeline or ():
            if written := [name for name in _WRITES if name in stage]:
                raise ValueError(f"{written[0]} writes: a check reads alone")
        return self
