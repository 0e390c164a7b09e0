"""A ramp needs what divides requests, and PM2 divides connections."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd_deploy.cli import main


@pytest.mark.parametrize(("strategy", "code"), [("ramp", 3), ("switch", 3)])
def test_a_ramp_is_refused_with_what_to_do_instead(tmp_path: Path, strategy: str, code: int) -> None:
    """Before the file is read: a switch, which is what it does anyway, comes to that."""
    words = ["host", "release", "1.5.0", "--strategy", strategy, "--config", str(tmp_path / "none.yaml")]
    refused = CliRunner().invoke(main, words, terminal_width=400)
    assert refused.exit_code == code, refused.output
    told = "PM2 divides connections between instances" in refused.output
    assert told is (strategy == "ramp"), refused.output
    assert ("none.yaml" in refused.output) is (strategy == "switch"), refused.output
