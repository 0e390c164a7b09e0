"""Names of the options at one place of a configuration, found by walking its models along the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from healthd.registry import UnknownKindError, registries


def options_at(model: type[BaseModel], tree: Any, path: Sequence[str | int]) -> frozenset[str]:
    """Return the options that the model allows under a path of keys; empty where that is unknown."""
    places: list[Any] = [model]
    for step in path:
        tree = tree[step] if _reaches(tree, step) else None
        places = [inner for place in places for inner in _inside(place, step)]
        places = [chosen for place in places for chosen in _models(place, tree)]
    return frozenset(name for place in places if _is_model(place) for name in _names(place))


def _reaches(tree: Any, step: str | int) -> bool:
    if isinstance(tree, Mapping):
        return step in tree
    return isinstance(tree, list) and isinstance(step, int) and step < len(tree)


def _names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def _inside(place: Any, step: str | int) -> Iterator[Any]:
    """Yield the type of the value under one key or at one index."""
    if _is_model(place):
        yield from (field.annotation for name, field in place.model_fields.items() if step in (name, field.alias))
    elif isinstance(get_origin(place), type) and issubclass(get_origin(place), Mapping):
        yield get_args(place)[1]
    elif isinstance(get_origin(place), type) and issubclass(get_origin(place), Sequence):
        yield get_args(place)[0]


def _models(place: Any, node: Any) -> Iterator[Any]:
    """Yield the models of an annotation: the members of a union, or of several kinds the one that the file names."""
    origin = get_origin(place)
    if origin is Annotated:
        yield from _models(get_args(place)[0], node)
    elif origin in (Union, UnionType):
        for member in get_args(place):
            yield from _models(member, node)
    elif _is_model(place):
        kind = node.get("kind") if isinstance(node, Mapping) else None
        yield from _of_kind(place, kind)
    else:
        yield place


def _of_kind(model: type[BaseModel], kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the model of a plug-in's kind, where this one is a plug-in's; otherwise the models that are of this
    kind."""
    registry = next((each for each in registries() if issubclass(model, each.base)), None)
    if registry is not None and isinstance(kind, str):
        try:
            yield registry.find(kind).config_model
        except (UnknownKindError, ImportError):
            return
        return
    kinds = get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
    if kind is None or not kinds or kind in kinds:
        yield model


def _is_model(place: Any) -> bool:
    return isinstance(place, type) and issubclass(place, BaseModel)
