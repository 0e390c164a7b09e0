"""`healthd config check`: what of a valid file could never work on this host."""

from pathlib import Path

from click.testing import CliRunner

from healthd.cli import main


def test_a_journal_that_can_never_be_is_refused_with_its_line(tmp_path: Path) -> None:
    """Not by the daemon, which serves health without one; and not where it runs on another host."""
    file = tmp_path / "healthd.yaml"
    file.write_text(f"environment: development\njournal: sqlite:///{tmp_path}\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)])
    assert result.exit_code == 2
    assert f"{file}:2: journal: {tmp_path} is a directory: name a file in it" in result.stderr
    assert CliRunner().invoke(main, ["config", "check", str(file), "--elsewhere"]).exit_code == 0
