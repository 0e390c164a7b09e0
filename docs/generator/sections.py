"""The sections of a configuration, by the path that an option has in the file: `services.NAME.source (prometheus)`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from healthd.registry import registries


@dataclass(frozen=True, slots=True)
class Section:
    """One model at one place. `kinds` are the places of the kinds that may stand here instead of it."""

    path: str
    kind: str
    model: type[BaseModel]
    base: type[BaseModel] | None = None
    """The model whose options this one has as well, and which has a section of its own."""

    @property
    def title(self) -> str:
        return f"{self.path} ({self.kind})" if self.kind else self.path

    @property
    def anchor(self) -> str:
        """The place in the page; it changes only when the option is named otherwise."""
        return re.sub(r"[^A-Za-z0-9_.]+", "-", self.title.replace("[]", "")).strip("-")


def sections(model: type[BaseModel], path: str = "", kind: str = "") -> Iterator[Section]:
    """Those below a model, in the order of its options, each model at each place where it may stand."""
    for name, field in model.model_fields.items():
        for place, inner, of_kind in _models(field.annotation, f"{path}.{field.alias or name}".strip(".")):
            yield from _below(place, inner, of_kind or kind)


def _below(path: str, model: type[BaseModel], kind: str) -> Iterator[Section]:
    plugins = _plugins(model)
    if plugins is None:
        yield Section(path, kind, model)
        yield from sections(model, path, kind)
        return
    yield Section(path, "", model)
    for each, own in plugins.items():
        yield Section(path, each, own, model)
        yield from sections(own, path, each)


def _plugins(model: type[BaseModel]) -> Mapping[str, type[BaseModel]] | None:
    """The models of the kinds that ship, where a model is what all of them have."""
    for registry in registries():
        if registry.base is model:
            built_in = sorted(set(registry.kinds()) - set(registry.foreign()))
            # A criterion is its own configuration.
            return {kind: getattr(found := registry.find(kind), "config_model", found) for kind in built_in}
    return None


def _models(annotation: Any, path: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    """The models of an annotation, each with its path and its kind."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _models(arguments[0], path)
    elif origin is dict:
        yield from _models(arguments[1], f"{path}.NAME")
    elif origin in (tuple, list):
        yield from _models(arguments[0], f"{path}[]")
    elif origin in (Union, UnionType):
        found = [each for part in arguments for each in _models(part, path)]
        base = next((r.base for r in registries() if found and all(issubclass(m, r.base) for _, m, _ in found)), None)
        yield from [(path, base, "")] if base else found
    elif inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield path, annotation, kind_of(annotation)


def kind_of(model: type[BaseModel]) -> str:
    """The kind that a model is of, where it is of one."""
    field = model.model_fields.get("kind")
    if field is not None and get_origin(field.annotation) is Literal:
        return str(get_args(field.annotation)[0])
    return ""
