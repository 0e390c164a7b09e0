"""A validator's errors in words for people. No other text of the validator's is shown to anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from healthd.nearest import did_you_mean
from healthd.units import parse_duration, show_duration, show_ratio
from healthd.wording import shape_in_words

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails, InitErrorDetails

MAPPING = "must be a mapping of keys to values, such as `key: value`, one a line"
LIST = "must be a list, such as [a, b]"
_TIME = "must be a date and time with its zone, such as 2026-12-01T01:00:00Z"
_DATE = "must be a date, such as 2026-12-01"
_WHOLE, _NUMBER = "must be a whole number", "must be a number"
_UNSEEN = "must not hold what is not a Unicode text"
_EXPECTED = {
    "dict_type": MAPPING,
    "mapping_type": MAPPING,
    "model_type": MAPPING,
    "model_attributes_type": MAPPING,
    "dataclass_type": MAPPING,
    "list_type": LIST,
    "tuple_type": LIST,
    "set_type": LIST,
    "frozen_set_type": LIST,
    "iterable_type": LIST,
    "invalid_key": "its keys must be text",
    "string_type": "must be text, in quotes if it looks like a number, a date, or true or false",
    "string_unicode": _UNSEEN,
    "string_not_ascii": "must have ASCII characters only",
    "bytes_type": "must be text",
    "bytes_invalid_encoding": _UNSEEN,
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "none_required": "must have no value",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": f"{_WHOLE}, and has too many digits",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": "must be a number that is not infinite",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": "needs a time zone, such as 2026-12-01T01:00:00Z",
    "datetime_past": "must lie in the past",
    "datetime_future": "must lie in the future",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "time_type": "must be a time of day, such as 01:00",
    "time_parsing": "must be a time of day, such as 01:00",
    "uuid_type": "must be a UUID, such as `uuidgen` prints",
    "uuid_parsing": "must be a UUID, such as `uuidgen` prints",
    "url_type": "must be an address, such as https://example.com/",
    "url_parsing": "must be an address, such as https://example.com/",
    "json_type": "must be JSON",
    "json_invalid": "must be JSON",
    "recursion_loop": "must not contain itself",
    "recursion_depth_exceeded": "is nested too deeply",
    "extra_forbidden": "no such option",
    "missing": "is required",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def in_words(kind: str, message: str, context: Mapping[str, Any], given: Any = None) -> str:
    """Return the message for people instead of a validator's message, by its kind. A bound is told in the unit in which
    the value was `given`."""
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {_as_given(context[key], given)}"
    if kind in ("too_short", "too_long") and isinstance(given, str):  # of a secret
        kind = f"string_{kind}"
    match kind:
        case "too_short":
            least = context["min_length"]
            return "must not be empty: name at least one" if least == 1 else f"needs {least} or more"
        case "too_long":
            return f"must not have more than {context['max_length']}"
        case "string_too_short" | "bytes_too_short":
            return "must not be empty" if context["min_length"] == 1 else f"needs {context['min_length']} characters"
        case "string_too_long" | "bytes_too_long" | "url_too_long":
            return f"must not have more than {context['max_length']} characters"
        case "string_pattern_mismatch":
            return f"must be {shape_in_words(context['pattern']) or 'of the form ' + context['pattern']}"
        case "union_tag_invalid":
            known = re.findall(r"'([^']+)'", context["expected_tags"])
            there_are = ", ".join(known)
            return f"no kind is called {context['tag']!r}; there are: {there_are}.{did_you_mean(context['tag'], known)}"
        case "union_tag_not_found":
            return f"needs a {str(context['discriminator']).strip(chr(39))}"
        case "literal_error" | "enum":
            return f"must be {context['expected']}"
    return re.sub("^(Value error|Assertion failed), |^Input should (?=be )", _instead, message)


def all_in_words(error: ValidationError, given: Mapping[str, Any] = MappingProxyType({})) -> list[str]:
    """Return a validator's errors, each with its place. The values that were `given`, which may be secrets, are not
    shown."""
    return [
        (f"{place}: " if (place := ".".join(map(str, detail["loc"]))) else "")
        + in_words(detail["type"], detail["msg"], detail.get("ctx", {}), given.get(place))
        for detail in error.errors(include_url=False, include_input=False)
    ]


def first_in_words(error: ValidationError) -> str:
    """Return the first of a validator's errors, with its place."""
    return all_in_words(error)[0]


def as_it_was(detail: ErrorDetails, *, hidden: bool = False) -> InitErrorDetails:
    """Return an error to be raised anew, with its words; what was given is `hidden` where it may be a secret."""
    from pydantic_core import PydanticCustomError

    context = {**detail.get("ctx", {}), "told": detail["msg"]}
    return {
        "type": PydanticCustomError(detail["type"], "{told}", context),
        "loc": detail["loc"],
        "input": None if hidden else detail["input"],
    }


def _as_given(bound: float, given: Any) -> str:
    if isinstance(given, str) and given.strip().endswith("%"):
        return show_ratio(bound)
    try:
        is_duration = isinstance(given, str) and parse_duration(given) is not None
    except ValueError:
        is_duration = False
    if is_duration:
        return show_duration(bound) if bound else "0s"
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _instead(words: re.Match[str]) -> str:
    return "must " if words[0].startswith("Input") else ""
