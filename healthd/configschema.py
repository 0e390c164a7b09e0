"""The JSON Schema of a configuration file as a person writes it: every kind of check, and `${VAR}` anywhere."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from healthd.app import Config
from healthd.checks import find_kind, known_kinds

_REFERENCE = {"type": "string", "pattern": r"\$\{"}


def config_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. A kind whose extra is not installed is left open."""
    schema = Config.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    kinds = []
    for kind in known_kinds():
        try:
            model = find_kind(kind).config_model
        except ImportError:
            kinds.append({"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]})
            continue
        definitions |= _definitions_of(model)
        kinds.append({"$ref": f"#/$defs/{model.__name__}"})
    schema["properties"]["checks"]["additionalProperties"] = {"oneOf": kinds}
    schema["properties"]["checks"].pop("default", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "healthd configuration"
    for definition in (schema, *definitions.values()):
        _allow_references(definition)
    return schema


def _definitions_of(model: type[BaseModel]) -> dict[str, Any]:
    own = model.model_json_schema(by_alias=True)
    nested: dict[str, Any] = own.pop("$defs", {})
    own["required"] = sorted({*own.get("required", []), "kind"})
    return {**nested, model.__name__: own}


def _allow_references(definition: dict[str, Any]) -> None:
    """Any single value may be `${VAR}`; texts may already."""
    for name, value in definition.get("properties", {}).items():
        if name != "kind" and value.get("type") not in ("string", "array", "object"):
            described = {key: value.pop(key) for key in ("title", "description", "default") if key in value}
            definition["properties"][name] = {**described, "anyOf": [value, _REFERENCE]}
