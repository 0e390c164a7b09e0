"""Read a YAML file to a validated model: variables filled in, and every error with its file, line, key and fix."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from healthd.checks.parsing import MISSING
from healthd.config.explain import KeyPath, Problem, explained, line_of, mark
from healthd.config.yaml_text import YAMLTextError, read_yaml
from healthd.runtime.redaction import Redactor

_REFERENCE = re.compile(
    r"\$\$|\$\{(?:file:(?P<file>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?)\}|(?P<typo>\$\{)"
)
_LOOKS, _BETWEEN_LOOKS = 20, 0.1  # seconds
ModelT = TypeVar("ModelT", bound=BaseModel)


class ConfigError(Exception):
    """The configuration was refused."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class _UnsetError(Exception):
    """A variable that the file refers to has no value."""


class _TypoError(Exception):
    """A reference is written in a way that means nothing."""


def load(
    path: Path | None, model: type[ModelT], environ: Mapping[str, str], *, only: Collection[str] | None = None
) -> ModelT:
    """Return the validated settings of a file, or the embedded defaults when there is none. Raises ConfigError.

    `only` names the sections to read, so that a variable which another section needs may be unset.
    """
    if path is None:
        return parse("{}", "the embedded defaults", model, environ)
    return parse(_read(path), str(path), model, environ, only=only)


def load_again(path: Path | None, model: type[ModelT], environ: Mapping[str, str]) -> ModelT:
    """Load a file as `load` does, even while another program writes it: half of it may be valid too. Blocks until two
    reads in a row find the same text."""
    if path is None:
        return load(path, model, environ)
    text = _read(path)
    for _ in range(_LOOKS):
        time.sleep(_BETWEEN_LOOKS)
        before, text = text, _read(path)
        if text == before:
            return parse(text, str(path), model, environ)
    raise ConfigError([Problem(str(path), None, "", "changes all the time: reload once it is written")])


def problem_at(path: Path, where: KeyPath, message: str) -> Problem:
    """Return a problem with a key of an otherwise valid file, with its line."""
    return Problem(str(path), line_of(_read_tree(_read(path), str(path)), where), ".".join(map(str, where)), message)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {reason}")]) from None


def parse(
    text: str, file: str, model: type[ModelT], environ: Mapping[str, str], *, only: Collection[str] | None = None
) -> ModelT:
    """Parse a text as `load` does; `file` is the name for messages."""
    try:
        return _parse(text, file, model, environ, only)
    except ConfigError:
        raise
    except Exception as error:  # a bug of a library or of ours: a running daemon must survive it all the same
        message = f"cannot be read, and nobody foresaw why: {type(error).__name__}"
        raise ConfigError([Problem(file, None, "", message)]) from error


def _parse(
    text: str, file: str, model: type[ModelT], environ: Mapping[str, str], only: Collection[str] | None
) -> ModelT:
    tree = _read_tree(text, file)
    for section in [key for key in tree if only is not None and key not in only]:
        del tree[section]
    filler = _Filler(file, environ)
    plain = filler.fill(tree, ())
    if filler.problems:
        raise ConfigError(filler.problems)
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        hide = Redactor(filler.filled).known
        problems = [replace(problem, message=hide(problem.message)) for problem in explained(error, tree, file, model)]
        raise ConfigError(problems) from None


def _read_tree(text: str, file: str) -> CommentedMap:
    try:
        tree = read_yaml(text)
    except YAMLTextError as error:
        raise ConfigError([Problem(file, error.line, error.key, str(error))]) from None
    if tree is None:  # truncated by a writer: to read it as the defaults would drop every token
        message = "holds no configuration; write {} into it to have nothing but the defaults"
        raise ConfigError([Problem(file, None, "", message)])
    if not isinstance(tree, CommentedMap):
        raise ConfigError([Problem(file, 1, "", "the file must be a mapping of keys to values")])
    return tree


class _Filler:
    """Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` in every text, after YAML has been parsed: a value can
    never turn into structure."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self.problems: list[Problem] = []
        self.filled: list[str] = []  # values from outside the file: one of them in a message may be a secret

    def fill(self, node: Any, path: KeyPath) -> Any:
        if isinstance(node, CommentedMap):
            may_lack = len(path) == 2 and path[0] in _MAY_LACK
            return self._lacking(node, path) if may_lack else self._map(node, path)
        if isinstance(node, CommentedSeq):
            return [self._leaf(item, node, i, (*path, i)) for i, item in enumerate(node)]
        return node

    def _map(self, node: CommentedMap, path: KeyPath) -> dict[Any, Any]:
        return {key: self._leaf(item, node, key, (*path, key)) for key, item in node.items()}

    def _lacking(self, node: CommentedMap, path: KeyPath) -> dict[Any, Any]:
        """Return a check with its variables filled in, and the names of unset ones: the file stays valid, and the check
        runs and reports that it is misconfigured. The same holds for a notifier and an action."""
        inner = _Filler(self._file, self._environ)
        inner.filled = self.filled
        filled = inner._map(node, path)
        unset = [problem for problem in inner.problems if problem.message.startswith(_NOT_SET)]
        self.problems += [problem for problem in inner.problems if problem not in unset]
        if unset:
            filled[MISSING] = sorted({problem.message.removeprefix(_NOT_SET).split(":")[0] for problem in unset})
        return filled

    def _leaf(self, item: Any, parent: Any, key: Any, path: KeyPath) -> Any:
        if not isinstance(item, str):
            return self.fill(item, path)
        try:
            return _REFERENCE.sub(self._value, str(item))
        except (_UnsetError, _TypoError) as problem:
            self.problems.append(Problem(self._file, mark(parent, key), ".".join(map(str, path)), str(problem)))
            return None

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["typo"]:
            raise _TypoError("write ${NAME}, ${NAME:-default} or ${file:/path}; a plain ${ is written $${")
        if "${" in (match["default"] or ""):
            raise _TypoError(f"the default of {match['name']} holds another variable: write a plain text there")
        if file := match["file"]:
            try:
                value = Path(file).read_text(encoding="utf-8-sig").strip()  # some editors leave a byte order mark
            except (OSError, UnicodeDecodeError):
                raise _UnsetError(f"{_NOT_SET}file {file}: it cannot be read") from None
        else:
            value = self._environ.get(match["name"], "")
        if value:
            self.filled.append(value)
            return value
        if match["default"] is not None:
            return match["default"]
        if file:
            raise _UnsetError(f"{_NOT_SET}file {file}: it is empty")
        raise _UnsetError(f"{_NOT_SET}{match['name']}: set it, or give a default as ${{{match['name']}:-…}}")


_NOT_SET = "not set: "
_MAY_LACK = ("checks", "notifiers", "actions")
