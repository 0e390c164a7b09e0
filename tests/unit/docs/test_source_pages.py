"""The pages that say where numbers can come from name every kind of source, and none that there is not."""

import re
from pathlib import Path

import pytest

from healthd_gates.sources import KINDS

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("page", "heading", "row"),
    [
        ("gate.md", "| you have | source |", r"^\| [^|]+ \| `(\w+)` \| [^|]+ \| \[\1\]\(sources\.md#\1\) \|$"),
        ("sources.md", "| kind | asks |", r"^\| `(\w+)` \|"),
    ],
)
def test_a_table_of_sources_has_every_kind(page: str, heading: str, row: str) -> None:
    """Each has one line, which in the guide leads to its section."""
    text = (DOCS / page).read_text(encoding="utf-8")
    table = text[text.index(heading) :].partition("\n\n")[0]
    assert sorted(re.findall(row, table, re.MULTILINE)) == sorted(KINDS)
    assert len(table.splitlines()) == 2 + len(KINDS)
