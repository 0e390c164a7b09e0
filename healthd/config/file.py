"""Read YAML files to a validated model: variables filled in, and every error with its file, line, key and fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedMap

from healthd.config.explain import explained, without_follow_ups
from healthd.config.file_text import UnreadableError, read_text
from healthd.config.home import unexpanded
from healthd.config.include import ConfigError as ConfigError
from healthd.config.include import included, read_tree
from healthd.config.layers import Layers, is_layered
from healthd.config.places import KeyPath, Problem, distinct, place_of
from healthd.config.variables import TEMPLATED, Filler
from healthd.runtime.redaction import Redactor

_LARGEST = 8 * 1024**2  # bytes of one file: a hundred thousand checks
ModelT = TypeVar("ModelT", bound=BaseModel)


def load(
    path: Path | None, model: type[ModelT], environ: Mapping[str, str], *, only: Collection[str] | None = None
) -> ModelT:
    """Return the validated settings of a file and those that it includes, or the embedded defaults when there is none.
    Raises ConfigError.

    `only` names the sections to read, so that a variable which another section needs may be unset.
    """
    if path is None:
        return parse("{}", "the embedded defaults", model, environ)
    return settings_of(texts_of(path, model, environ), model, environ, only)


def load_what_is_right(
    path: Path, model: type[ModelT], environ: Mapping[str, str], problems: Iterable[Problem], sections: Collection[str]
) -> ModelT | None:
    """Return the settings of a refused file's sections without the entries that have one of its problems, or None where
    even they cannot be read."""
    wrong: set[KeyPath] = set()
    while more := {tuple(each.key.split(".")[:2]) for each in problems} - wrong:
        wrong |= more
        try:
            return settings_of(texts_of(path, model, environ), model, environ, sections, wrong)
        except ConfigError as error:  # such as of a check that depends on one that was left out
            problems = error.problems
    return None


def parse(
    text: str, file: str, model: type[ModelT], environ: Mapping[str, str], *, only: Collection[str] | None = None
) -> ModelT:
    """Parse a text as `load` does; `file` is the name for messages. What the text includes is not read."""
    return settings_of({file: text}, model, environ, only)


def problem_at(path: Path, model: type[BaseModel], environ: Mapping[str, str], where: KeyPath, message: str) -> Problem:
    """Return a problem with a key of otherwise valid files, with its line."""
    place = place_of(_tree(texts_of(path, model, environ), model), where, str(path))
    return Problem(place.file, place.line, ".".join(map(str, where)), message)


def texts_of(path: Path, model: type[BaseModel], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a file and of those that it includes, by name; the file itself is the first. Raises
    ConfigError."""
    texts = {str(path): text_of(path)}
    if is_layered(model):
        with _outliving_bugs(str(path)):
            texts |= {str(file): text_of(file) for file in included(texts[str(path)], path, environ)}
    return texts


@contextmanager
def _outliving_bugs(file: str) -> Iterator[None]:
    """Raise ConfigError for a bug of a library or of ours: a running daemon must survive it all the same."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        message = f"cannot be read, and nobody foresaw why: {type(error).__name__}"
        raise ConfigError([Problem(file, None, "", message)]) from error


def text_of(path: Path) -> str:
    """Return the text of one file. Raises ConfigError."""
    try:
        return read_text(path, _LARGEST)
    except UnreadableError as error:
        raise ConfigError([Problem(str(path), error.line, "", f"cannot be read: {error}")]) from None


def settings_of(
    texts: Mapping[str, str],
    model: type[ModelT],
    environ: Mapping[str, str],
    only: Collection[str] | None = None,
    without: Collection[KeyPath] = (),
) -> ModelT:
    """Return the validated settings of texts as `texts_of` returns them. Raises ConfigError."""
    with _outliving_bugs(next(iter(texts))):
        return _parse(texts, model, environ, only, without)


def _parse(
    texts: Mapping[str, str],
    model: type[ModelT],
    environ: Mapping[str, str],
    only: Collection[str] | None,
    without: Collection[KeyPath],
) -> ModelT:
    file, tree = next(iter(texts)), _tree(texts, model)
    for section in [key for key in tree if only is not None and key not in only]:
        del tree[section]
    for section, *names in without:
        entries = tree.get(section)
        if names and isinstance(entries, CommentedMap):
            entries.pop(names[0], None)
        else:
            tree.pop(section, None)
    filler = Filler(tree, file, environ, TEMPLATED if is_layered(model) else ())
    plain = filler.fill(tree)
    try:
        settings = model.model_validate(plain)
    except ValidationError as error:
        found = without_follow_ups(list(explained(error, tree, file, model)))
    else:
        found = list(_unexpanded(settings, tree, file)) if any("~" in text for text in texts.values()) else []
        if not filler.problems and not found:
            return settings
    hide = Redactor(filler.filled).own
    wrong = [replace(problem, message=hide(problem.message)) for problem in found]
    raise ConfigError(_together(filler.problems, wrong))


def _unexpanded(settings: BaseModel, tree: CommentedMap, file: str) -> Iterator[Problem]:
    for where, cure in unexpanded(settings):
        place = place_of(tree, where, file)
        yield Problem(place.file, place.line, ".".join(map(str, where)), cure)


def _together(unfilled: list[Problem], wrong: list[Problem]) -> list[Problem]:
    """Return all problems, by place; what a validator says of a key whose variable is not set is left out."""
    keys = {problem.key for problem in unfilled}
    wrong = [problem for problem in wrong if problem.key not in keys]
    return sorted(distinct([*unfilled, *wrong]), key=lambda problem: (problem.file, problem.line or 0))


def _tree(texts: Mapping[str, str], model: type[BaseModel]) -> CommentedMap:
    """Return one tree of all texts. Raises ConfigError with the problems of every text."""
    trees: dict[str, CommentedMap] = {}
    problems: list[Problem] = []
    for file, text in texts.items():
        try:
            trees[file] = read_tree(text, file)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    if not is_layered(model):
        return next(iter(trees.values()))
    layers = Layers(trees, model)
    if layers.problems:
        raise ConfigError(layers.problems)
    return layers.tree
