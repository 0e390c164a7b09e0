"""How a key that takes one of several kinds, told apart by `kind`, looks in the JSON Schema for editors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True, slots=True)
class OneOfKinds:
    """Metadata of an annotated type. `model_of` raises ImportError for a kind whose extra is not installed."""

    kinds: Callable[[], Iterable[str]]
    model_of: Callable[[str], type[BaseModel]]

    def __get_pydantic_json_schema__(self, _core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schemas = [self._schema(kind, handler) for kind in self.kinds()]
        return {"oneOf": schemas} if schemas else {"not": {}}

    def _schema(self, kind: str, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        try:
            return handler(self.model_of(kind).__pydantic_core_schema__)
        except ImportError:
            return {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
