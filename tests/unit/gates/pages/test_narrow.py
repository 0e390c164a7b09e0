"""A page on a phone: no word of others is wider than the screen. What a browser makes of it acceptance tests see."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PAGES = (ROOT / "healthd/web/pages/static/pages.css").read_text()
GATE = (ROOT / "gates/healthd_gates/pages/static/gate.css").read_text()
_RULE = re.compile(r"(?P<selectors>[^{}]+)\{(?P<body>[^{}]*)\}")


def _broken() -> set[str]:
    """The selectors whose words are broken where they are longer than a line."""
    css = re.sub(r"/\*.*?\*/", "", PAGES + GATE, flags=re.DOTALL)
    rules = (found for found in _RULE.finditer(css) if "overflow-wrap: anywhere" in found["body"])
    return {selector.strip() for found in rules for selector in found["selectors"].split(",")}


@pytest.mark.parametrize("tag", ["p", "li", "dd", "h1", "h2", "h3", "tbody th", ".orders td"])
def test_words_of_others_are_broken(tag: str) -> None:
    """Names, versions, addresses and messages stand in these: an address of 150 letters made a page 1,483 pixels."""
    assert tag in _broken()


def test_the_actions_of_a_gate_are_no_table_on_a_phone() -> None:
    """Its four columns left one letter a line to the name of an action."""
    narrow = GATE.partition("@media (max-width: 48rem)")[2]
    assert re.search(r"\.orders tr \{ display: grid; grid-template-columns: minmax\(0, 1fr\)", narrow)
