"""Nobody who has written a wrong name, or nothing, is shown a regular expression or a validator's own words."""

from collections.abc import Iterator
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import BaseModel, TypeAdapter, ValidationError

from docs.generator.config import DEPLOY_TOOLS
from healthd.checks import KINDS, find_kind
from healthd.config.explain import in_words
from healthd.wording import shape_in_words
from healthd_gates.config.settings import Config


def _patterns(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for inner in node.values():
            yield from _patterns(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _patterns(inner)


MODELS: list[type[BaseModel]] = [
    Config,
    *(find_kind(kind).config_model for kind in KINDS),
    *DEPLOY_TOOLS.values(),
]


def test_every_pattern_is_told_in_words() -> None:
    """Durations and percentages, which may also be a variable, have words of their own."""
    found = {pattern for model in MODELS for pattern in _patterns(model.model_json_schema()) if r"\$\{" not in pattern}
    assert {pattern for pattern in found if shape_in_words(pattern) is None} == set()


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _models(each)


def _told_when_empty(limited: Any) -> str | None:
    nothing: tuple[Any, ...] = ([], {}, "")
    for empty in nothing:
        try:
            TypeAdapter(limited).validate_python(empty)
        except ValidationError as error:
            (detail, *_) = error.errors()
            if detail["type"] in ("too_short", "string_too_short"):
                return in_words(detail["type"], detail["msg"], detail["ctx"])
    return None


def test_what_is_empty_and_may_not_be_is_told_alike() -> None:
    """Of each option that has a least length: whichever list, mapping or text it is."""
    for model in MODELS:
        model.model_json_schema()  # loads the kinds of sources, actions and notifiers
    told = {
        f"{model.__name__}.{name}": _told_when_empty(Annotated[field.annotation, *field.metadata])
        for model in set(_models(BaseModel))
        if model.__module__.startswith("healthd")
        for name, field in model.model_fields.items()
        if any(isinstance(limit, MinLen) and limit.min_length == 1 for limit in field.metadata)
    }
    assert len(told) >= 20
    assert {
        name: words
        for name, words in told.items()
        if words not in ("must not be empty", "must not be empty: name at least one")
    } == {}
