"""The programs of the clients' pages, as they stand, against the daemon that the quickstart leads to."""

import shutil
import sys
from pathlib import Path

from tests.acceptance import first_gate
from tests.acceptance.guide import blocks_of
from tests.servers import forked
from tests.servers.programs import require

ROOT = Path(__file__).parents[3]


def program(page: str, kind: str) -> str:
    """The program of a page that asks a gate."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (found,) = [text for block, text in blocks_of(text) if block == kind and "GateClient" in text]
    return found


def test_they_ask_the_gate_of_the_quickstart(tmp_path: Path) -> None:
    """And end with 0 and its verdict."""
    node = require("node")
    shutil.copytree(ROOT / "clients/node", tmp_path / "node_modules/healthd-gates")
    (tmp_path / "gate.py").write_text(program("docs/embedding.md", "python"), encoding="utf-8")
    (tmp_path / "gate.mjs").write_text(program("clients/node/README.md", "js"), encoding="utf-8")
    commands = [f"{sys.executable} gate.py app 2.0 green", f"{node} gate.mjs app 2.0 green"]
    printed = first_gate.is_reached(tmp_path, forked.program("healthd").parent, commands)
    assert [line.split()[0] for line in printed] == ["pass", "pass"]
