"""Fields that queries in Lucene's syntax name, and the faults that a cluster's mapping shows in them. Pure.

A field of type `text` holds words: a query for 1.4.2-rc1 finds each document with 1.4.2 or with rc1 in it, and so
counts several versions as one. A field that nothing has finds nothing, which would be zero errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from healthd.nearest import ALMOST_THE_SAME, nearest

_QUOTED = r'"(?:\\.|[^"\\])*"'
_CLAUSE = re.compile(
    rf"(?P<field>[\w@][\w.@-]*):(?P<value>{_QUOTED}|/(?:\\.|[^/\\])*/|[\[{{][^\]}}]*[\]}}]|\([^)]*\)|(?:\\.|[^\s()\\])*)"
    rf"|{_QUOTED}|\\."
)
_PLACEHOLDER = re.compile(r"\$(?!le\b)\w")
_EDGE = re.compile(r"\$le\b")
_WORDS = frozenset({"text", "match_only_text", "annotated_text", "search_as_you_type"})
_TEXTS = _WORDS | {"keyword", "constant_keyword", "wildcard"}
_OPEN = frozenset({"flattened", "flat_object", "passthrough"})
"""Types whose parts no mapping names."""
_ONE_WORD = re.compile(r"[A-Za-z]?\d+(\.\d+)*|\w+", re.ASCII)  # which no analyzer of Elasticsearch's own divides

Types = Mapping[str, frozenset[str]]
"""Types of each field; several where indices differ."""


def types_of(document: Any) -> Types:
    """Read an answer of `_field_caps`. Raises KeyError, TypeError or AttributeError for another document."""
    return {str(name): frozenset(map(str, types)) for name, types in document["fields"].items()}


def asked_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of what has to be known: the fields of queries, what is below them, and what they are in."""
    patterns = dict[str, None]()
    for text in texts:
        for name, _ in clauses_of(text):
            parts = name.split(".")
            patterns |= dict.fromkeys(".".join(parts[: place + 1]) for place in range(len(parts)))
            patterns[f"{name}.*"] = None
    return tuple(patterns)


def clauses_of(text: str) -> list[tuple[str, str]]:
    """Return the fields that a query names, each with the text that it is to have."""
    clauses = list[tuple[str, str]]()
    for found in _CLAUSE.finditer(text):
        name, value = found["field"], found["value"]
        if name == "_exists_":
            clauses.append((value, ""))
        elif name and not name.startswith("_"):
            clauses.append((name, value))
    return clauses


def missing_in(text: str, types: Types) -> list[str]:
    """Return the fields of a query that no document has."""
    return [name for name, _ in clauses_of(text) if not types.get(name) and not _is_part_of_one(name, types)]


def missing_field(name: str, text: str, types: Types) -> tuple[str, bool]:
    """Return that no document has a field of a query, and whether another is so similar that it was surely meant. One
    that is asked for by `_exists_` may come with the first error, whatever else begins with its name."""
    known = sorted(each for each in types if not each.startswith("_") and types[each].isdisjoint({"object", "nested"}))
    longer = None if (name, "") in clauses_of(text) else next((each for each in known if each.startswith(name)), None)
    meant = longer or nearest(name, known, ALMOST_THE_SAME)
    return f"no document has a field {name}" + (f": did you mean {meant}?" if meant else ""), meant is not None


def mixed_versions(text: str, values: Iterable[str], types: Types) -> tuple[str, bool] | None:
    """Return that a field divides what an arm fills in, and whether it must not be judged by, for the arms' `values`;
    None where no field does."""
    for name, value in clauses_of(text):
        if not _PLACEHOLDER.search(value) or not types.get(name, frozenset()) & _WORDS:
            continue
        whole = sorted(each for each in types if each.startswith(f"{name}.") and types[each] <= {"keyword"})
        cure = f"write {whole[0]}" if whole else "map it as keyword"
        told = f"the field {name} holds words (type text), so that 1.4.2 is found in 1.4.2-rc1 as well: {cure}"
        return told, bool(whole) or not all(_ONE_WORD.fullmatch(each) for each in values)
    return None


def compared_as_text(text: str, types: Types) -> str | None:
    """Return that latencies are compared letter by letter; None if they are numbers."""
    for name, value in clauses_of(text):
        if _EDGE.search(value) and types.get(name, frozenset()) & _TEXTS:
            return f"the field {name} holds texts, of which 1000 comes before 5: map it as a number"
    return None


def _is_part_of_one(name: str, types: Types) -> bool:
    parts = name.split(".")
    return any(types.get(".".join(parts[:place]), frozenset()) & _OPEN for place in range(1, len(parts)))
