"""Nobody who has written a wrong name, or nothing, is shown a regular expression or a validator's own words."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from annotated_types import MinLen
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import core_schema

from docs.generator.config import DEPLOY_TOOLS
from docs.generator.options import type_of
from healthd.checks import KINDS, find_kind
from healthd.validation_words import in_words
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


# Of Python objects, which nobody writes.
_NEVER_WRITTEN = re.compile(
    "no_such_attribute|needs_python_object|frozen_(field|instance|dict)|get_attribute|dataclass_exact|named_tuple"
    "|default_factory|ordered_|counter_|deque_|set_item|iteration_|missing_sentinel|ellipsis|is_(instance|subclass)_of"
    "|callable|arguments?(_|$)|keyword|positional|fraction|complex|time_delta|decimal_(max|whole)|uuid_version|url_s"
    "|timezone_(naive|offset)|date_(past|future)|_error$"
)


def test_no_validator_speaks_to_people() -> None:
    """Whatever of its errors a file, a call, a hook's event or a command can cause: those of a newer release too."""
    told = {
        kind: in_words(kind, "Input should be a valid example", _Anything())
        for kind in get_args(core_schema.ErrorType)
        if not _NEVER_WRITTEN.search(kind) or kind == "literal_error"
    }
    assert len(told) > 50
    assert {kind: said for kind, said in told.items() if re.search("should|valid", said)} == {}


def test_a_length_is_told_in_characters_of_a_secret() -> None:
    """And in items of a list."""
    assert in_words("too_short", "", {"min_length": 16}, "x") == "needs 16 characters"
    assert in_words("too_short", "", {"min_length": 1}, "") == "must not be empty"
    assert in_words("too_long", "", {"max_length": 16}, "x" * 17) == "must not have more than 16 characters"
    assert in_words("too_short", "", {"min_length": 2}, ["x"]) == "needs 2 or more"


@pytest.mark.parametrize(
    ("kind", "context", "given", "said"),
    [
        ("greater_than", {"gt": 0}, "0s", "must be more than 0s"),
        ("greater_than_equal", {"ge": 3600.0}, "5m", "must be at least 1h"),
        ("less_than_equal", {"le": 2592000}, "400d", "must be at most 30d"),
        ("less_than", {"lt": 0.5}, "60%", "must be less than 50%"),
        ("greater_than_equal", {"ge": 1}, 0, "must be at least 1"),
        ("less_than_equal", {"le": 65535}, 70000, "must be at most 65,535"),
        ("greater_than", {"gt": 1.0}, "one", "must be more than 1"),
    ],
)
def test_a_bound_is_told_as_the_value_was_written(kind: str, context: Any, given: Any, said: str) -> None:
    assert in_words(kind, "Input should be greater than 0", context, given) == said


class _Anything(dict[str, Any]):
    """A context that has whatever an error is about."""

    def __missing__(self, key: str) -> Any:
        return 1 if key.startswith(("min", "max", "gt", "ge", "lt", "le", "mult")) else "'a'"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _models(each)


def test_every_bound_of_a_number_is_in_the_reference() -> None:
    """The narrowest, as it is written: neither `0s` where that is refused, nor `at least 0` where it is 1."""
    told: dict[str, str] = {}
    for model in MODELS:
        model.model_json_schema()  # loads the kinds of sources, actions and notifiers
    for model in {*MODELS, *_models(BaseModel)}:
        if not model.__module__.startswith("healthd") or re.search(r"\.(api|schema|web)\.", model.__module__):
            continue
        for name, field in model.model_fields.items():
            cell = type_of(field.annotation, field.metadata, lambda inner: inner.__name__)
            if re.match("duration|percentage|size|whole number|number", cell):
                told[f"{model.__name__}.{name}"] = cell
                limited = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
                for refused in _refused_alone(limited, cell):
                    assert re.search("more than|less than|at least|at most", cell), (model, name, cell, refused)
    assert told["Http.drain"] == "duration"
    assert told["Policy.initial_delay"] == "duration or `0s`"
    assert told["Policy.interval"] == "duration, at least 1s"
    assert told["NotifierConfig.repeat_interval"] == "duration, at least 1m"
    assert told["Risk.false_pass"] == "percentage, more than 0%, less than 100%"
    assert told["Config.retention"] == "duration, at least 1h"
    assert len(told) > 100


def _refused_alone(annotation: Any, cell: str) -> Iterator[str]:
    """What of an option's extremes is refused for itself."""
    tried: tuple[Any, ...] = (0, -1, 10**9, 10**15)
    if cell.startswith("duration"):
        tried = ("0s", "1ms", "364999d") if "`0s`" in cell else ("1ms", "364999d")
    elif cell.startswith("percentage"):
        tried = ("0%", "100%")
    for value in tried:
        try:
            TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            yield f"{value}: {error}"


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
