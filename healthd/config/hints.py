"""Guesses at what the author of a file meant where a value or a key is wrong: an end for the message about it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from healthd.config.indentation import indented_too_little
from healthd.config.options import options_at
from healthd.config.places import KeyPath, value_at
from healthd.config.synonyms import meant_by
from healthd.config.yaml_slips import key_glued_to_its_value
from healthd.nearest import nearest

_MOST_NAMES = 40
_FROM_FILE = '; to have a text from a file write "${file:/path}"'


def meant(model: type[BaseModel], tree: Any, where: KeyPath) -> str:
    """Return a suggestion for an option that does not exist: `; did you mean interval?`."""
    known, word = options_at(model, tree, where[:-1]), str(where[-1])
    if (alike := meant_by(word, known)) is not None:
        return f"; did you mean {alike}?"
    elsewhere = indented_too_little(model, tree, where)
    if inner := [each for each in sorted(known) if word in options_at(model, tree, (*where[:-1], each))]:
        return elsewhere or f"; did you mean {' or '.join(f'{each}.{word}' for each in inner[:2])}?"
    if (alike := nearest(word, known)) is not None:
        return f"; did you mean {alike}?"
    if elsewhere:
        return elsewhere
    return f"; there are: {', '.join(sorted(known))}" if 0 < len(known) <= _MOST_NAMES else ""


def meant_value(tree: Any, location: KeyPath, expected: str) -> str:
    """Return a suggestion for a value, or a key, that is none of a few words: `; did you mean operator?`. The value
    itself, which may be a secret at the wrong key, is not shown."""
    node = location[-2] if location[-1:] == ("[key]",) else value_at(tree, location)
    alike = nearest(node, re.findall(r"'([^']+)'", expected)) if isinstance(node, str) else None
    return f"; did you mean {alike}?" if alike is not None else ""


def meant_mapping(model: type[BaseModel], tree: Any, where: KeyPath) -> str:
    """Return a suggestion where a mapping is due: for a list of entries with a name each, where the names are the keys,
    for what a group has, and for a limit, which is one of two. Of the value a number alone is shown."""
    items = value_at(tree, where)
    if isinstance(items, CommentedMap):
        return ""
    options = options_at(model, tree, where)
    key = key_glued_to_its_value(items) if isinstance(items, str) else None
    if key is not None and (key in options or isinstance(where[-1], int)):
        return f"; a space is missing behind the colon: write `{key}: …`"
    if "checks" in options and isinstance(where[-1], str):
        return f"; write `{where[-1]}: {{checks: [a, b]}}`"
    if "unhealthy" in options and not isinstance(items, CommentedSeq):
        shown = items if isinstance(items, int | float) else "…"
        return f"; write `{where[-1]}: {{unhealthy: {shown}}}`"
    first = items[0] if isinstance(items, CommentedSeq) and items else None
    name = first.get("name") if isinstance(first, CommentedMap) else None
    return f"; instead of `- name: {name}` write `{name}:`, with its options indented below" if name else ""


def meant_list(tree: Any, where: KeyPath) -> str:
    """Return a suggestion where a list is due: `-` without a space makes a text."""
    written = value_at(tree, where)
    if isinstance(written, CommentedMap):
        dashed = any(str(key).startswith("-") for key in written)
        return "; a space belongs behind each -" if dashed else "; begin its entry with `- `"
    return "; a space belongs behind each -" if isinstance(written, str) and written.startswith("-") else ""


def meant_text(tree: Any, where: KeyPath, *, is_text_due: bool) -> str:
    """Return a suggestion for a text that is refused: for quotes that YAML takes for text, and for a file or a variable
    as other tools have them, where a mapping is written in place of a text too."""
    written = value_at(tree, where)
    if isinstance(written, CommentedMap) and is_text_due:
        return _FROM_FILE if {"file", "path"} & set(written) else '; the value of a variable is written "${NAME}"'
    if isinstance(written, str) and written.startswith(("file:", "@/")):
        return _FROM_FILE
    if isinstance(written, str) and written[:1] in tuple("“”„‘’"):
        return f"; {written[0]} is no quote in YAML: write \" or '"
    return ""


def misplaced(model: type[BaseModel], tree: Any, where: KeyPath) -> str:
    """Return a suggestion where an entry with options of its own is due, and a single value or nothing is written."""
    written = value_at(tree, where)
    if isinstance(written, CommentedMap):
        return ""
    return indented_too_little(model, tree, where) or ("; nothing is indented below it" if written is None else "")
