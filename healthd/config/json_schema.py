"""JSON Schema of a configuration file as a person writes it: every kind of check, and `${VAR}` anywhere."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from healthd.config.field_docs import DescribedJsonSchema
from healthd.registry import Registry, SchemaOfKinds, registries

_REFERENCE = {"type": "string", "pattern": r"\$\{"}


def config_schema(config: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema 2020-12 of the model of a whole file. A kind that cannot be loaded, such as one whose
    extra is not installed, is left open.
    """
    kinds = {each.what: {kind: _model_of(each, kind) for kind in each.kinds()} for each in registries()}
    plug_ins = [model for models in kinds.values() for model in models.values() if model]
    # All at once: pydantic then distinguishes models with the same name.
    places, whole = models_json_schema(
        [(model, "validation") for model in dict.fromkeys([config, *plug_ins])],
        by_alias=True,
        schema_generator=DescribedJsonSchema,
    )
    definitions: dict[str, Any] = whole["$defs"]
    for definition in definitions.values():
        _allow_references(definition)
    schema: dict[str, Any] = definitions.pop(places[config, "validation"]["$ref"].rpartition("/")[2])
    one_of = {
        what: [{**(places[model, "validation"] if model else {}), **_is_of(kind)} for kind, model in models.items()]
        for what, models in kinds.items()
    }
    one_of["check"].append({"type": "object", "required": ["template"], "not": {"required": ["kind"]}})
    _fill_in(schema, one_of)
    _fill_in(definitions, one_of)
    checks = schema["properties"]["checks"]
    checks.pop("default", None)
    checks["additionalProperties"] = False
    return {
        **schema,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "healthd configuration",
        "$defs": definitions,
    }


def _model_of(registry: Registry[Any], kind: str) -> type[BaseModel] | None:
    try:
        return registry.find(kind).config_model  # type: ignore[no-any-return]
    except ImportError:
        return None


def _is_of(kind: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}


def _fill_in(node: Any, one_of: dict[str, Any]) -> None:
    """Insert the kinds of each registry where an option accepts one of them."""
    if isinstance(node, dict):
        if (what := node.pop(SchemaOfKinds.KEY, None)) is not None:
            node["oneOf"] = one_of[what]
        for inner in list(node.values()):
            _fill_in(inner, one_of)
    elif isinstance(node, list):
        for inner in node:
            _fill_in(inner, one_of)


def _allow_references(definition: dict[str, Any]) -> None:
    """Allow `${VAR}` for any single value, also in a map; a text without a pattern accepts it already."""
    for name, value in definition.get("properties", {}).items():
        if "patternProperties" in value:
            value["patternProperties"] = {key: _or_reference(one) for key, one in value["patternProperties"].items()}
        elif name != "kind" and not _is_structure(value) and not _is_any_text(value):
            described = {key: value.pop(key) for key in ("title", "description", "default") if key in value}
            definition["properties"][name] = {**described, "anyOf": [value, _REFERENCE]}


def _or_reference(value: dict[str, Any]) -> dict[str, Any]:
    return value if "$ref" in value or _is_structure(value) else {"anyOf": [value, _REFERENCE]}


def _is_structure(value: dict[str, Any]) -> bool:
    return SchemaOfKinds.KEY in value or value.get("type") in ("array", "object")


def _is_any_text(value: dict[str, Any]) -> bool:
    return value.get("type") == "string" and not {"pattern", "enum", "const", "minLength"} & value.keys()
