"""Turn a validator's errors into file, line, key, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from healthd.config.hints import meant, meant_list, meant_mapping, meant_text, meant_value, misplaced
from healthd.config.places import KeyPath, Problem, has, place_of, value_at
from healthd.validation_words import LIST, MAPPING, in_words

_NO_KIND = " needs a kind"
_MISSPELT = re.compile(r"no such option; did you mean (\w+)\?")
_NO_LIST = ("tuple_type", "list_type")


def explained(error: ValidationError, tree: Any, file: str, model: type[BaseModel]) -> Iterator[Problem]:
    """Yield every problem of a file, `tree`, that was read as a `model`."""
    details = error.errors(include_input=False, include_url=False)
    places = [tuple(_written(tree, detail["loc"], detail["type"] == "missing")) for detail in details]
    for detail, where in zip(details, places, strict=True):
        location = detail["loc"]
        if detail["type"] in _NO_LIST and places.count(where) > 1:  # one value or a list of them: it is a wrong value
            continue
        inside = any(other["loc"][: len(location)] == location for other in details if other is not detail)
        if not (detail["type"] == "too_short" and inside):  # it is too short because its items are in error
            message = in_words(detail["type"], detail["msg"], detail.get("ctx", {}), value_at(tree, where))
            if detail["type"] == "extra_forbidden":
                message += meant(model, tree, where)
            if detail["type"] in ("literal_error", "enum"):
                named = location if location[-1] == "[key]" else where
                message += meant_value(tree, named, detail["ctx"]["expected"])
            if message == MAPPING:
                message += meant_mapping(model, tree, where)
            elif message == LIST:
                message += meant_list(tree, where)
            elif detail["type"] in ("string_type", "value_error", "string_pattern_mismatch"):
                message += meant_text(tree, where, is_text_due=detail["type"] == "string_type")
            if _NO_KIND in message and (elsewhere := misplaced(model, tree, where)):
                message = message.partition(_NO_KIND)[0] + _NO_KIND + elsewhere
            elif detail["type"] != "extra_forbidden" and _is_left_empty(tree, where):
                message = "has no value: write one, or leave the key out"
            key = ".".join(str(step) for step in where if step != "[key]")
            place = place_of(tree, where, file)
            yield Problem(place.file, place.line, key, message)


def without_follow_ups(problems: Sequence[Problem]) -> list[Problem]:
    """Return the problems without those that a misspelt section causes: what it has is not under its right name."""
    meant = [found[1] for each in problems if "." not in each.key and (found := _MISSPELT.fullmatch(each.message))]
    return [each for each in problems if not any(f"which is not under {name}" in each.message for name in meant)]


def _written(node: Any, location: KeyPath, is_missing: bool) -> Iterator[str | int]:
    """Yield the part of a validator's location with keys that a person wrote, and one more key for a missing one. What
    the validator adds itself is left out: an entry's kind, where that selects the model, and anything below a single
    value, such as the alternatives of what it may be."""
    for number, step in enumerate(location, 1):
        if not isinstance(node, CommentedMap | CommentedSeq):
            if node is None:  # nothing was written where a mapping is due
                yield step
            return
        is_last = is_missing and number == len(location)  # an option that is called as the kind is
        if isinstance(node, CommentedMap) and step not in node and step == node.get("kind") and not is_last:
            continue
        yield step
        if not has(node, step):
            return
        node = node[step]


def _is_left_empty(tree: Any, where: KeyPath) -> bool:
    if not where:  # what is wrong concerns the file as a whole
        return False
    around = value_at(tree, where[:-1])
    return isinstance(around, CommentedMap) and where[-1] in around and around[where[-1]] is None
