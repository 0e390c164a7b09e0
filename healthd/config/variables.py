"""Fill in variables, after YAML has been parsed: a value can never turn into structure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from healthd.checks.parsing import MISSING
from healthd.config.file_text import UnreadableError, read_text
from healthd.config.places import KeyPath, Problem, place_of
from healthd.nearest import did_you_mean

_REFERENCE = re.compile(
    r"\$\$|\$\{(?:file:(?P<file>[^}]+)|self\.(?P<own>[A-Za-z0-9_]*)|"
    r"(?:values\.(?P<value>[A-Za-z0-9_-]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*))(?::-(?P<default>[^}]*))?)\}|(?P<typo>\$\{)"
)
_SHELL = re.compile(r"(?<!\$)\$(?P<name>[A-Z][A-Z0-9_]*)")
_ADDRESSES = ("endpoint", "host", "hosts", "uri", "url")
_LARGEST = 1024**2  # bytes of a file that a value is in
_NOT_SET = "not set: "
MOUNTED = "mount it, or let the daemon read it"
"""The cure for a file that is missing."""
_MAY_LACK = ("checks", "notifiers", "actions")
TEMPLATED = ("checks", "services", "policies")
"""Sections whose entries have a name to fill in, and may have a template and values."""
_HELPERS = ("template", "values")


class _UnsetError(Exception):
    """A variable that the file refers to has no value."""


class _TypoError(Exception):
    """A reference is written in a way that means nothing."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Entry that a text belongs to, for `${self.name}` and `${values.KEY}`."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Filler:
    """Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` in every text of a tree; in entries with a template
    also `${self.name}` and `${values.KEY}`."""

    def __init__(self, tree: Any, file: str, environ: Mapping[str, str], templated: Sequence[str] = ()) -> None:
        """Store the tree; `templated` names the sections whose entries may have a template."""
        self._tree, self._file, self._environ, self._sections = tree, file, environ, templated
        self._entry: _Entry | None = None
        self.problems: list[Problem] = []
        self.filled: list[str] = []  # values from outside the file: one of them in a message may be a secret

    def fill(self, node: Any, path: KeyPath = ()) -> Any:
        if isinstance(node, CommentedMap):
            if len(path) == 2 and path[0] in self._sections:
                return self._templated(node, path)
            may_lack = len(path) == 2 and path[0] in _MAY_LACK
            return self._lacking(node, path) if may_lack else self._map(node, path)
        if isinstance(node, CommentedSeq):
            return [self._leaf(item, (*path, i)) for i, item in enumerate(node)]
        return node

    def _map(self, node: CommentedMap, path: KeyPath) -> dict[Any, Any]:
        return {key: self._leaf(item, (*path, key)) for key, item in node.items()}

    def _templated(self, node: CommentedMap, path: KeyPath) -> Any:
        """Return an entry without the helpers that its texts were filled in from."""
        self._entry = _Entry(str(path[1]))
        lacking = path[0] in _MAY_LACK
        inner = self._inner() if lacking else self
        values = inner._leaf(node.get("values"), (*path, "values"))
        if isinstance(values, dict):
            inner._entry = self._entry = _Entry(str(path[1]), values)
        try:
            bare = {key: item for key, item in node.items() if key not in _HELPERS}
            filled = {key: inner._leaf(item, (*path, key)) for key, item in bare.items()}
            return self._with_missing(filled, inner) if lacking else filled
        finally:
            self._entry = None

    def _lacking(self, node: CommentedMap, path: KeyPath) -> dict[Any, Any]:
        inner = self._inner()
        return self._with_missing(inner._map(node, path), inner)

    def _inner(self) -> Filler:
        inner = Filler(self._tree, self._file, self._environ, self._sections)
        inner.filled, inner._entry = self.filled, self._entry
        return inner

    def _with_missing(self, filled: dict[Any, Any], inner: Filler) -> dict[Any, Any]:
        """Return a check with the names of its unset variables: the file stays valid, and the check runs and reports
        that it is misconfigured. The same holds for a notifier and an action."""
        unset = [problem for problem in inner.problems if problem.message.startswith(_NOT_SET)]
        self.problems += [problem for problem in inner.problems if problem not in unset]
        if unset:
            filled[MISSING] = sorted({problem.message.removeprefix(_NOT_SET).split(":")[0] for problem in unset})
        return filled

    def _leaf(self, item: Any, path: KeyPath) -> Any:
        if not isinstance(item, str):
            return self.fill(item, path)
        try:
            _refuse_shell(item, path)
            return _REFERENCE.sub(self._value, str(item))
        except (_UnsetError, _TypoError) as problem:
            place = place_of(self._tree, path, self._file)
            self.problems.append(Problem(place.file, place.line, ".".join(map(str, path)), str(problem)))
            return None

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["typo"]:
            raise _TypoError("write ${NAME}, ${NAME:-default} or ${file:/path}; a plain ${ is written $${")
        if match["own"] is not None or match["value"] is not None:
            return self._of_entry(match)
        if "${" in (match["default"] or ""):
            raise _TypoError(f"the default of {match['name']} holds another variable: write a plain text there")
        if file := match["file"]:
            try:
                value = read_text(Path(file), _LARGEST).removeprefix("\ufeff").strip()  # some editors leave the mark
            except UnreadableError as error:
                if ":-" in file:
                    raise _TypoError(f"a file has no default: write ${{file:{file.partition(':-')[0]}}}") from None
                cure = f"; {MOUNTED}" if error.is_away else ""
                raise _UnsetError(f"{_NOT_SET}file {file}: it cannot be read: {error}{cure}") from None
        else:
            value = self._environ.get(match["name"], "")
        if value:
            self.filled.append(value)
            return value
        if match["default"] is not None:
            return match["default"]
        if file:
            raise _UnsetError(f"{_NOT_SET}file {file}: it is empty: write the value into it")
        raise _UnsetError(f"{_NOT_SET}{match['name']}: set it, or give a default as ${{{match['name']}:-…}}")

    def _of_entry(self, match: re.Match[str]) -> str:
        if self._entry is None:
            raise _TypoError(f"{match[0]} means something only in an entry of {', '.join(TEMPLATED)}")
        if match["own"] is not None:
            if match["own"] != "name":
                raise _TypoError("an entry has only ${self.name}, which is its key")
            return self._entry.name
        key = match["value"]
        value = self._entry.values.get(key)
        if value is None and match["default"] is not None:
            return match["default"]
        if value is None:
            hint = did_you_mean(key, map(str, self._entry.values))
            raise _TypoError(
                f"values.{key} is not given: add it under values, or a default as ${{values.{key}:-…}}{hint}"
            )
        if isinstance(value, dict | list):
            raise _TypoError(f"values.{key} is not a single value")
        return str(value).lower() if isinstance(value, bool) else str(value)


def _refuse_shell(text: str, path: KeyPath) -> None:
    """Raise _TypoError for a variable as a shell has it, alone or in an address; elsewhere it may be a program's."""
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    if found := _SHELL.search(text) if key in _ADDRESSES else _SHELL.fullmatch(text):
        name = found["name"]
        raise _TypoError(f"for the variable write ${{{name}}}; the plain text ${name} is written $${name}")
