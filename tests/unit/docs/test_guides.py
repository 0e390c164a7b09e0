"""What people wrote in the documentation holds: its links, and what the gate's guide configures and scripts."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from healthd.config.file import parse
from healthd_gates.config.settings import Config

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


@pytest.mark.parametrize(
    ("answers", "code", "told"),
    [
        (["504", "502", "000", "200"], 0, "it may stay"),
        (["202", "429", "503", "412"], 1, "it may not stay"),
        (["409"], 3, "not asked (409)"),
        (["401"], 3, "not asked (401)"),
        (["504"] * 5, 3, "healthd could not be asked"),
    ],
)
def test_the_loop_with_curl_alone_outlives_a_proxy(tmp_path: Path, answers: list[str], code: int, told: str) -> None:
    """A proxy that gives up on the call is no verdict, and no reason to stop; a refusal is."""
    (loop,) = [text for kind, text in GATE if kind == "sh" and "for attempt in" in text]
    (tmp_path / "answers").write_text("\n".join(answers) + "\n")
    curl = f"#!/bin/sh\nhead -1 {tmp_path}/answers; sed -i 1d {tmp_path}/answers\n"
    for name, script in (("curl", curl), ("sleep", "#!/bin/sh\n")):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HEALTHD_URL": "http://a",
        "BUILD_TAG": "7",
        "VERSION": "2",
    }
    done = subprocess.run(["sh"], input=loop, text=True, env=environment, capture_output=True, check=False)
    assert (done.returncode, told in done.stdout) == (code, True), done
    assert (tmp_path / "answers").read_text() == ""


def _headings(page: Path) -> set[str]:
    """What a link can lead to: headings, as they are turned into anchors, and anchors of their own."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = re.findall(r'<a id="([^"]+)"></a>', text)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}.union(anchors)
