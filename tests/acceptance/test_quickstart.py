"""The quickstart does what it says: its files are written, its commands run in their order, its answers compared."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.guide import Shell, blocks, carry_out
from tests.servers.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
_PORTS = ("8080", "3000", "3001")


@pytest.fixture
def ports() -> dict[str, str]:
    """A free port for each that the page names."""
    return dict(zip(_PORTS, map(str, (free_port() for _ in _PORTS)), strict=True))


@pytest.fixture
def shell(tmp_path: Path, ports: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(tmp_path, f"http://127.0.0.1:{ports['8080']}")
    try:
        yield shell
    finally:
        shell.close()


def test_quickstart_is_true(tmp_path: Path, shell: Shell, ports: dict[str, str]) -> None:
    """Whoever follows the page word for word sees what it shows, up to a rollback that is carried out and confirmed."""
    for kind, text in blocks(PAGE, ports):
        if kind == "yaml":
            listen = f"http: {{listen: 127.0.0.1:{ports['8080']}, drain: 100ms}}"
            (tmp_path / "healthd.yaml").write_text(text.replace("http: {drain: 100ms}", listen), encoding="utf-8")
        elif kind == "console":
            carry_out(shell, text)
