"""The fenced blocks of every page that people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[3]
PAGES = [
    *ROOT.glob("*.md"),
    # What is generated shows parts of config/full.yaml and of the shipped files, which are checked whole.
    *(page for page in (ROOT / "docs").rglob("*.md") if "reference" not in page.parts),
    *(ROOT / "deploy").rglob("*.md"),
    *(ROOT / "grafana").rglob("*.md"),
]
_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One of them. `reason` says why it is not run, where the page's source says so: `<!-- not run: … -->`."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in sorted(PAGES):
        text = page.read_text(encoding="utf-8")
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start("text"))
            yield Block(page, line, found["language"], dedent(found["text"]), found["reason"])
