"""What a person is told in place of a parser's own words."""

from __future__ import annotations

import json
from typing import Final

_SHAPES: dict[str, str] = {}
_JSON_FAULTS: Final = {
    "Expecting property name enclosed in double quotes": "a key in double quotes is expected",
    "Illegal trailing comma before end of object": "the last entry must not be followed by a comma",
    "Illegal trailing comma before end of array": "the last entry must not be followed by a comma",
    "Expecting ':' delimiter": "a colon is expected after the key",
    "Expecting ',' delimiter": "a comma is expected",
    "Expecting value": "a value is expected",
    "Extra data": "something follows the end of the document",
    "Unterminated string starting at": "a text begins that does not end",
    "Invalid control character at": "a line break or tab in a text must be written as \\n or \\t",
    "Invalid \\escape": "a backslash in a text must be written as \\\\",
    "Invalid \\uXXXX escape": "\\u needs four hexadecimal digits",
}


def shape(pattern: str, words: str) -> str:
    """The pattern; from then on `words` is said of a text that must match it and does not: "must be {words}"."""
    _SHAPES[pattern] = words
    return pattern


def shape_in_words(pattern: str) -> str | None:
    """`a name of …`, if anybody has said what the pattern stands for."""
    return _SHAPES.get(pattern)


def json_fault(error: ValueError) -> str:
    """Why a text is not JSON, and where."""
    match error:
        case json.JSONDecodeError():
            return f"line {error.lineno}, column {error.colno}: {_JSON_FAULTS.get(error.msg, error.msg)}"
        case UnicodeDecodeError():
            return f"it must be UTF-8, and byte {error.start + 1} is not"
    return str(error)
