"""`healthd gate replay` of a gate: under which policies it is replayed."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd.cli import main
from healthd.commands.daemon import fail
from healthd_gates.client.client import GateClient
from healthd_gates.schema.gate import GateDocument
from tests.unit.gates.engine.test_notifications import GATE

CONFIG = "policies: {own: {criteria: [{kind: error_rate, limit: 5%}]}}\n"


@pytest.fixture(autouse=True)
def _daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that knows the gate, and kept nothing of its looks."""

    async def gate(_client: GateClient, _gate_id: str, **_: object) -> GateDocument:
        return GateDocument.of(GATE)

    async def evidence(_client: GateClient, _gate_id: str) -> None:
        fail("nothing is kept")

    monkeypatch.setattr(GateClient, "gate", gate)
    monkeypatch.setattr(GateClient, "evidence", evidence)


def test_it_says_that_no_file_was_read(tmp_path: Path) -> None:
    """The gate may have been judged by another policy of that name; where a file is named, that is not said."""
    file = tmp_path / "healthd.yaml"
    file.write_text(CONFIG)

    def replayed(*words: str) -> str:
        result = CliRunner().invoke(main, ["gate", "replay", "--gate", GATE.id, *words], env={"HEALTHD_CONFIG": ""})
        assert result.exit_code == 3
        return re.sub(r"\s+", " ", result.stderr)

    said = "No file was read: name one with -c, or HEALTHD_CONFIG."
    assert replayed("--policy", "canary") == f"The policy canary is the one that ships. {said} nothing is kept "
    assert replayed("--policy", "canary", "-c", str(file)) == "nothing is kept "
    assert "no policy is called 'own'; there are: " in replayed("--policy", "own")
    assert said in replayed("--policy", "own")
    assert said not in replayed("--policy", "owm", "-c", str(file))
