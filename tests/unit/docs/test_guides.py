"""What people wrote in the documentation holds: its links, and what the gate's guide configures and scripts."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from healthd.app import Config
from healthd.config.file import parse

TOP = Path(__file__).parents[3]
WRITTEN = sorted([TOP / "README.md", *TOP.glob("docs/*.md"), *TOP.glob("docs/checks/*.md")])
_LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
_BLOCK = re.compile(r"```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
GATE = [(block["kind"], block["text"]) for block in _BLOCK.finditer((TOP / "docs/gate.md").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading of it."""
    for place, _, heading in (link.partition("#") for link in _LINK.findall(page.read_text(encoding="utf-8"))):
        linked = page.parent / place if place else page
        assert linked.exists(), place
        if heading:
            assert heading in _headings(linked), f"{place}#{heading}"


@pytest.mark.parametrize("text", [text for kind, text in GATE if kind == "yaml"])
def test_what_the_gates_page_configures_is_valid(text: str) -> None:
    """Whoever copies a part has a configuration; the workflow of another tool is YAML at least."""
    if "jobs" not in YAML(typ="safe").load(text):
        parse(text, "gate.md", Config, {})


@pytest.mark.parametrize("text", [text for kind, text in GATE if kind == "sh"])
def test_what_the_gates_page_scripts_is_shell(text: str) -> None:
    """As a POSIX shell reads it."""
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def _headings(page: Path) -> set[str]:
    """What a link can lead to: headings, as they are turned into anchors, and anchors of their own."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = re.findall(r'<a id="([^"]+)"></a>', text)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}.union(anchors)
