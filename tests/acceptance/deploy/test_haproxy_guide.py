"""The page on HAProxy is true: a Node service behind it is deployed, widened and put back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.guide import Shell, blocks, carry_out
from tests.servers.ports import HOST, free_port
from tests.servers.process import own_folder
from tests.servers.programs import require

PAGE = Path(__file__).parents[3] / "docs/deploy/haproxy.md"
_PORTS = ("8000", "8080", "3001", "3002")
_NAMED = re.compile(r"^(?://|#) (?P<name>[\w/.-]+\.(?:js|cfg|sh|yaml))\b")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the page's files are."""
    with own_folder() as folder:
        yield folder


def test_a_node_service_behind_haproxy(folder: Path) -> None:
    """Whoever follows the page sees what it shows, up to a ramp that is taken back and one that has everything."""
    require("node")
    require("haproxy")
    ports = {port: str(free_port()) for port in _PORTS}
    places = {"/run/haproxy": str(folder), "/var/log/haproxy": str(folder)}
    shell = Shell(folder, f"http://{HOST}:{ports['8080']}")
    try:
        for kind, text in blocks(PAGE, ports):
            for place, other in places.items():
                text = text.replace(place, other)
            if kind == "console":
                carry_out(shell, text)
                continue
            named = _NAMED.match(text)
            (folder / (named["name"] if named else "release.sh")).write_text(text, encoding="utf-8")
    finally:
        for pid in folder.glob("*.pid"):
            shell.run(f"kill {pid.read_text().strip()} || true")
        shell.close()
