"""Files that a configuration includes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from healthd.config.places import Problem, place_of
from healthd.config.variables import Filler
from healthd.config.yaml_text import YAMLTextError, read_yaml

INCLUDE = "include"
_ALL_OF_A_FOLDER = "*.y*ml"
_MOST = 10_000  # files of one pattern: `/**` would read every file of the host


class ConfigError(Exception):
    """The configuration was refused."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def read_tree(text: str, file: str) -> CommentedMap:
    """Return the tree of a file's text. Raises ConfigError."""
    try:
        tree = read_yaml(text)
    except YAMLTextError as error:
        raise ConfigError([Problem(file, error.line, error.key, str(error))]) from None
    if tree is None:  # truncated by a writer: to read it as the defaults would drop every token
        message = "holds no configuration; write {} into it to have nothing but the defaults"
        raise ConfigError([Problem(file, None, "", message)])
    if not isinstance(tree, CommentedMap):
        written = "a list" if isinstance(tree, list) else "a single value"
        message = f"the file must be a mapping of keys to values, such as `checks:`, and is {written}"
        raise ConfigError([Problem(file, 1, "", message)])
    return tree


def included(text: str, main: Path, environ: Mapping[str, str]) -> list[Path]:
    """Return the files that the main file's text includes, in order, each once. Raises ConfigError."""
    if INCLUDE not in text and "\\" not in text:  # a large file is not parsed twice for nothing
        return []
    tree = read_tree(text, str(main))
    filler = Filler(tree, str(main), environ)
    raw = filler.fill(tree[INCLUDE], (INCLUDE,)) if INCLUDE in tree else []
    problems = filler.problems
    found: dict[Path, None] = {}
    for number, pattern in enumerate(raw if isinstance(raw, list) else [raw]):
        try:
            found |= dict.fromkeys(_matches(main, pattern))
        except ValueError as error:
            place = place_of(tree, (INCLUDE, number), str(main))
            problems.append(Problem(str(main), place.line, INCLUDE, str(error)))
    if problems:
        raise ConfigError(problems)
    return [file for file in found if file.resolve() != main.resolve()]


def _matches(main: Path, pattern: Any) -> Iterable[Path]:
    """Return the files of one pattern, sorted; the main one may be among those of a folder. Raises ValueError where a
    misspelt one would include nothing."""
    folder = main.parent
    if not isinstance(pattern, str) or not pattern:
        raise ValueError("names files, such as healthd.d/*.yaml, or a folder, such as healthd.d")
    if (folder / pattern).is_dir():
        pattern = f"{pattern.rstrip('/')}/{_ALL_OF_A_FOLDER}"
    elif not has_magic(pattern) and (folder / pattern).resolve() == main.resolve():
        raise ValueError(f"{pattern} is this file itself: name only other files, or leave it out")
    names = sorted(glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207 - it leaves hidden files out
    files = [folder / name for name in names if not (folder / name).is_dir()]
    if len(files) > _MOST:
        raise ValueError(f"{folder / pattern} are {len(files):,} files: include at most {_MOST:,} with one pattern")
    if not files and not (has_magic(pattern) and (folder / pattern).parent.is_dir()):
        raise ValueError(f"no file is called {folder / pattern}")
    return files
