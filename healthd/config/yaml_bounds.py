"""Bounds of a YAML text: what is written in a few lines must not take minutes, or memory without end, to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scanner import RoundTripScanner

DEEPEST = 64
"""Mappings and lists in one another; what people write has ten."""
MOST_REPEATED = 100_000
"""Values that aliases may add to those written: a thousand entries that share a hundred options each."""
_CORE = "tag:yaml.org,2002:"
_KINDS = frozenset(_CORE + kind for kind in ("null", "bool", "int", "float", "str", "timestamp", "merge", "seq", "map"))
_TEXT = frozenset(_CORE + kind for kind in ("str", "merge"))


class UnusableError(MarkedYAMLError):
    """The text is YAML, and no configuration."""


class TooDeepError(MarkedYAMLError):
    """The text is not read any further, so that the key of the place is not known."""


def _refuse(message: str, node: Node) -> UnusableError:
    return UnusableError(None, None, message, node.start_mark)


class Scanner(RoundTripScanner):
    """Stops at a bracket too many: the library looks a thousand characters ahead, with each bracket again. Takes tabs
    in front of a comment and at the end of a line, as YAML does and the library does not."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - the library's name
        if self.flow_level >= DEEPEST:
            raise TooDeepError(None, None, too_deep(), self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)

    def scan_to_next_token(self) -> Any:
        while True:
            found = super().scan_to_next_token()
            if found is not None or not self._skips_tabs():
                return found

    def _skips_tabs(self) -> bool:
        length = 0
        while self.reader.peek(length) in (" ", "\t"):
            length += 1
        if not length or self.reader.peek(length) not in ("#", "\n", "\r", "\0"):
            return False
        self.reader.forward(length)
        return True


class BoundedComposer(Composer):
    """Refuses a document that its aliases make too large, and what has no meaning in a configuration. A second anchor
    of a name takes the place of the first, without a word of the library's."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False

    def compose_document(self) -> Any:
        root = super().compose_document()
        _Survey().weigh(root)
        return root


def too_deep() -> str:
    return f"is nested too deeply: at most {DEEPEST} mappings and lists in one another"


@dataclass(frozen=True, slots=True)
class _Weight:
    values: int  # with every alias written out
    repeated: int  # those of them that aliases add
    depth: int


class _Survey:
    def __init__(self) -> None:
        self._known: dict[int, _Weight | None] = {}  # None while it is weighed

    def weigh(self, node: Node) -> _Weight:
        """Return the weight of a node. Raises UnusableError."""
        self._known[id(node)] = None
        _require_core(node)
        values, repeated, depth = 1, 0, 0
        for inner in _inner(node):
            if id(inner) in self._known:
                weight = self._known[id(inner)]
                if weight is None:
                    raise _refuse("an alias (*name) names a value that it stands in: take it out", inner)
                repeated += weight.values
            else:
                weight = self.weigh(inner)
                repeated += weight.repeated
            values, depth = values + weight.values, max(depth, weight.depth)
            if repeated > MOST_REPEATED:
                message = f"its aliases (*name) repeat more than {MOST_REPEATED:,} values: use templates, or fewer"
                raise _refuse(message, inner if weight.repeated else node)
        if not isinstance(node, ScalarNode):
            depth += 1
        if depth > DEEPEST:
            raise _refuse(too_deep(), node)
        found = self._known[id(node)] = _Weight(values, repeated, depth)
        return found


def _inner(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        for key, _ in node.value:
            _require_text(key)
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _require_core(node: Node) -> None:
    tag = str(node.tag or "")
    if tag not in _KINDS:
        if tag == _CORE + "value":
            raise _refuse("a text of `=` alone must be quoted", node)
        shown = tag.replace(_CORE, "!!", 1)
        raise _refuse(f"the tag {shown} means nothing here: take it out, or quote the text", node)


def _require_text(key: Node) -> None:
    if not isinstance(key, ScalarNode):
        message = "a key must be a text, not a list or a mapping; a text that begins with { or [ must be quoted"
        raise _refuse(message, key)
    _require_core(key)
    if str(key.tag) not in _TEXT:
        raise _refuse(f'the key {key.value or "~"} is no text: quote it, as "{key.value or "~"}"', key)
