"""Parse a YAML text to a tree that knows its lines, or raise one error with line and key, whatever the YAML library
raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError

from healthd.config.yaml_bounds import DEEPEST, BoundedComposer, Scanner, TooDeepError, UnusableError, too_deep
from healthd.config.yaml_slips import cause, odd_indentation

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

# Messages of the YAML library, and how the author of the file can fix the error.
_TWICE = "found duplicate key "
_NO_TAG = "a text that begins with ! must be quoted"
_BLOCK = "a text that begins with | or > must be quoted; for a text of several lines nothing follows that sign"
_ESCAPE = "a \\ in double quotes begins an escape: write \\\\, or use single quotes"
_DIRECTIVE = "a line that begins with % says something to YAML alone: leave it out, or quote the text"
_UNFORESEEN = "is not YAML here: quote a text with signs in it"
_MERGED = "<< takes the alias of a mapping, such as <<: *name, or a list of those"
_PLAINLY = {
    "found character '\\t'": "a tab cannot be used here: indent with spaces",
    "mapping values are not allowed here": "this key does not line up with its neighbours, or a text with `: ` in it "
    "is not quoted: indent all keys of one mapping alike",
    "expected <block end>, but found '}'": "a } closes nothing here: take it out, or write the { that it belongs to",
    "expected <block end>, but found ']'": "a ] closes nothing here: take it out, or write the [ that it belongs to",
    "expected <block end>, but found ','": "a comma stands between values of { } and [ ] alone: take it out",
    "expected <block end>": "this line does not line up with its neighbours: indent all keys of one mapping alike",
    "expected the node content, but found '}'": "a } closes nothing here: quote it, or write the { that it belongs to",
    "expected the node content, but found ']'": "a ] closes nothing here: quote it, or write the [ that it belongs to",
    "expected ',' or '}', but got ']'": "a { ends with ] here: close it with }",
    "expected ',' or ']', but got '}'": "a [ ends with } here: close it with ]",
    "expected ',' or '}'": "a { is not closed: a } or a comma is missing before here",
    "expected ',' or ']'": "a [ is not closed: a ] or a comma is missing before here",
    "could not find expected ':'": "a key without a colon: write `key: value`",
    "found unexpected end of stream": "a quoted text is not closed",
    "expected the node content, but found '<stream end>'": "the text ends within a { or a [: close it with } or ]",
    "but found another document": "a second document begins here: write all in one, without this `---` or `...`",
    "found undefined alias": "an alias (*name) names a value that no &name above marks; a text that begins with * "
    "must be quoted",
    "sequence entries are not allowed here": "a list that begins with - stands on lines of its own, below its key",
    "found character '@'": "a text that begins with @ must be quoted",
    "found character '`'": "a text that begins with ` must be quoted",
    "found character '%'": "a text that begins with % must be quoted",
    "found incompatible YAML document": "only YAML 1.1 and 1.2 can be read: leave the line that begins with % out",
    "found duplicate YAML directive": "a line that begins with % is there twice: leave it out",
    "found undefined tag handle": _NO_TAG,
    "could not determine a constructor": _NO_TAG,
    "expected non-empty name appended to the tag": _NO_TAG,
    "expected URI": _NO_TAG,
    "expected '!'": _NO_TAG,
    "expected ' '": _NO_TAG,
    "expected '>'": _NO_TAG,
    "expected alphabetic": "a text that begins with & or * must be quoted",
    "expected chomping": _BLOCK,
    "expected indentation indicator": _BLOCK,
    "expected a comment or a line break": _BLOCK,
    "expected escape sequence": _ESCAPE,
    "found non-comment content": "a text follows the end of the document, `...`: take that line out",
    "found unexpected document separator": "a quoted text is not closed before this `---` or `...`",
    "found unexpected ':'": "a text with : in it must be quoted within { } and [ ]",
    "expected a digit": _DIRECTIVE,
    "expected '<document start>'": _DIRECTIVE,
    "mapping keys are not allowed": "a text that begins with ? must be quoted",
    "expected a mapping": _MERGED,
    "found duplicate merge key": "<< is there twice: write one, with a list of aliases",
    "found unhashable key": "a key must be a text, not a list or a mapping: quote it",
    "found unconstructable recursive node": "a value names itself by its alias: write it out",
    "found unknown escape character": _ESCAPE,
    "found character": "a text that begins with this character must be quoted",
    "expected the node content": "a value is missing before here",
    "duplicate tag handle": _DIRECTIVE,
}


class YAMLTextError(Exception):
    """The text is not YAML that can be used. `line` counts from 1; `key` is dotted, and empty where none is known."""

    def __init__(self, message: str, line: int | None = None, key: str = "") -> None:
        self.line, self.key = line, key
        super().__init__(message)


class _UnusableScalarError(ConstructorError):
    """Value that looks like a date or a number but is not a valid one."""


class _Constructor(RoundTripConstructor):
    """Records the place of a value that cannot be built: the library passes on what `datetime` and `int` raise. A text
    with the tag of a text is one."""

    def construct_yaml_str(self, node: Any) -> Any:
        return self.construct_scalar(node)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (YAMLError, RecursionError):
            raise
        except Exception as error:
            why = f"is not a date that exists: {error}" if node.tag == _TIMESTAMP else "is not a value that exists"
            raise _UnusableScalarError(None, None, f"{why}; quote it to have it as a text", node.start_mark) from None


_Constructor.add_constructor("tag:yaml.org,2002:str", _Constructor.construct_yaml_str)


def read_yaml(text: str) -> Any:
    """Return the document; None when the text is empty. Raises YAMLTextError."""
    if odd := odd_indentation(text):
        raise YAMLTextError(*odd)
    try:
        return _yaml().load(StringIO(text))
    except (_UnusableScalarError, UnusableError) as error:
        collections = isinstance(error, UnusableError)
        raise YAMLTextError(error.problem or "", *_place(text, error.problem_mark, collections)) from None
    except (MaxDepthExceededError, TooDeepError) as error:
        raise YAMLTextError(too_deep(), error.problem_mark.line + 1) from None
    except MarkedYAMLError as error:
        problem = (error.problem or "").split("\n")[0].partition(" with value")[0]
        line = error.problem_mark.line + 1 if error.problem_mark else None
        if problem.startswith(f'{_TWICE}"-') and line is not None and (slip := cause(text, line, "", 0)) is not None:
            raise YAMLTextError(*slip) from None
        if problem.startswith(_TWICE):
            said = f"the key {problem.removeprefix(_TWICE)} is there twice: keep one, or rename the other"
            raise YAMLTextError(said, line) from None
        if line is not None and (slip := cause(text, line, problem, error.problem_mark.column)) is not None:
            raise YAMLTextError(*slip) from None
        said = next((said for start, said in _PLAINLY.items() if problem.startswith(start)), _UNFORESEEN)
        raise YAMLTextError(said, line) from None
    except ReaderError as error:
        raise YAMLTextError(*_odd_character(text, error)) from None
    except RecursionError:
        raise YAMLTextError(too_deep()) from None
    except (ValueError, OverflowError):  # such as a character beyond the last one
        raise YAMLTextError("an escape in double quotes names no character: use single quotes") from None
    except Exception as error:
        raise YAMLTextError(f"is not valid YAML ({type(error).__name__})") from None


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.Scanner, yaml.Composer, yaml.Constructor = Scanner, BoundedComposer, _Constructor
    yaml.max_depth = DEEPEST + 1  # a single value is a level too
    return yaml


def _odd_character(text: str, error: ReaderError) -> tuple[str, int]:
    code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
    before = text.partition(chr(code))[0]
    line = len(_LINE_BREAK.findall(before)) + 1
    return f"holds the character U+{code:04X}, which YAML does not allow: take it out", line


def _place(text: str, mark: StreamMark | None, collections: bool) -> tuple[int | None, str]:
    """Return the line of a value, and its key; `collections` are values too, and what begins like one is its first
    key. The key is empty where the text behind the value is no YAML."""
    if mark is None:
        return None, ""
    try:
        document = next(iter(YAML(typ="rt").compose_all(StringIO(text))))
    except YAMLError:
        return mark.line + 1, ""
    return mark.line + 1, ".".join(_steps(document, mark.index, collections) or ())


def _steps(node: Node, index: int, collections: bool) -> list[str] | None:
    """Return the keys on the path to the value at a position; None where it is not below this node."""
    for key, inner in _children(node):
        if inner.start_mark.index == index and (collections or not isinstance(inner, MappingNode | SequenceNode)):
            return [key]
        within = inner.start_mark.index <= index <= inner.end_mark.index
        if within and (found := _steps(inner, index, collections)) is not None:
            return [key, *found]
    return None


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        yield from ((str(key.value), inner) for key, inner in node.value)
    elif isinstance(node, SequenceNode):
        yield from ((str(number), inner) for number, inner in enumerate(node.value))
