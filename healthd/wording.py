"""Messages for people instead of a parser's own."""

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
    """Return the pattern; the error for a text that does not match it will be "must be" and `words`."""
    _SHAPES[pattern] = words
    return pattern


def shape_in_words(pattern: str) -> str | None:
    """Return the words for a pattern (`a name of …`), if they were set."""
    return _SHAPES.get(pattern)


def excerpt(text: str, most: int = 160) -> str:
    """Return the beginning of a foreign text as one line of at most `most` characters and ` …`, which says that there
    was more. It is cut between words, and before what a server echoes of a request in braces."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = line[: most + 1]
    words = head.partition("{")[0].strip() or head.rpartition(" ")[0] or line[:most]
    words = words if len(words) <= most else words.rpartition(" ")[0] or words[:most]
    return f"{words.rstrip(' ,;:([')} …"


def json_fault(error: ValueError) -> str:
    """Return why a text is not JSON, and where."""
    match error:
        case json.JSONDecodeError():
            return f"line {error.lineno}, column {error.colno}: {_JSON_FAULTS.get(error.msg, error.msg)}"
        case UnicodeDecodeError():
            return f"it must be UTF-8, and byte {error.start + 1} is not"
    if "int_max_str_digits" in str(error):
        return "a number has thousands of digits"
    return str(error)
