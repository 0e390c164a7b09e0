"""Descriptions of options: the docstring below each field of a model. They are read from the source when a schema or a
page shows them, since a daemon that starts needs none."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema


@cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the description of each field that has one, by the field's name. A field that a subclass declares again
    has only the description that it gets there."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if each is BaseModel or not issubclass(each, BaseModel):
            continue
        own = _own_docs(each)
        for name in inspect.get_annotations(each):
            found.pop(name, None)
            if name in own:
                found[name] = own[name]
    return found


def _own_docs(model: type[BaseModel]) -> dict[str, str]:
    return _docs_of_module(model.__module__).get(model.__qualname__, {})


@cache
def _docs_of_module(name: str) -> dict[str, dict[str, str]]:
    """Return those of all its classes, by their qualified names: a whole file is read for one class as for all."""
    try:
        source = inspect.getsource(sys.modules[name])
    except (KeyError, OSError, TypeError):  # models that were made without a source
        return {}
    return dict(_docs_of_classes(ast.parse(source)))


def _docs_of_classes(around: ast.AST, place: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    for inside in ast.iter_child_nodes(around):
        match inside:
            case ast.ClassDef():
                yield f"{place}{inside.name}", _docs_in(inside)
                yield from _docs_of_classes(inside, f"{place}{inside.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _docs_of_classes(inside, f"{place}{inside.name}.<locals>.")
            case ast.stmt():
                yield from _docs_of_classes(inside, place)


def _docs_in(statement: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(statement.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


class DescribedJsonSchema(GenerateJsonSchema):
    """Generates JSON schemas in which the fields have their descriptions."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._models: list[type[BaseModel]] = []

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        self._models.append(schema["cls"])
        try:
            return super().model_schema(schema)
        finally:
            self._models.pop()

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> dict[str, Any]:
        shown = super().model_fields_schema(schema)
        model = self._models[-1]
        for name, text in field_docs(model).items():
            field = model.model_fields.get(name)
            if field is None or field.description is not None:
                continue
            option = shown["properties"].get(field.alias or name)
            if option is not None:
                option["description"] = text
        return shown
