"""Docstrings begin with a verb or a noun phrase: a reader who looks for what something is or does finds no question."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FIRST = re.compile(
    r"\W*(what|whatever|whether|who|whoever|whom|whose|which|where|when|why|how|if|unless|until|while)\b", re.IGNORECASE
)
SUSPECT = re.compile(rf"^ *[\"']+{FIRST.pattern}", re.IGNORECASE | re.MULTILINE)
"""Only few files have such a line: the others need not be parsed."""


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Those of modules, classes and functions, and those below an attribute or a constant."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def questions(source: str) -> list[int]:
    """The lines of the docstrings in `source` that begin as a question or a condition."""
    if not SUSPECT.search(source):
        return []
    found = docstrings(ast.parse(source))
    return [text.lineno for text in found if isinstance(text.value, str) and FIRST.match(text.value)]


def test_docstrings_say_what_something_is_or_does() -> None:
    files = [file for folder in ("healthd", "gates", "deploy") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 800
    assert [f"{file.relative_to(ROOT)}:{line}" for file in files for line in questions(file.read_text())] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""What is probed."""', [1]),
        ('class Check:\n    """The check."""\n    every = 1\n    """How often."""\n', [4]),
        ('async def probe():\n    """\n    Whether it is up.\n    """\n', [2]),
        ("def probe():\n    'If it is up.'\n", [2]),
        ('"""Return what is up."""\nTEXT = "What is up?"\nWORDS = """Who?"""\n', []),
    ],
)
def test_which_docstrings_begin_as_a_question(source: str, lines: list[int]) -> None:
    assert questions(source) == lines
