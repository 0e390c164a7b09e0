"""The help of every command fits a terminal of 80 columns."""

from tests.unit.healthd.commands.tree import every_command


def test_no_line_of_any_help_is_longer_than_a_terminal_of_80_columns() -> None:
    """Examples and lists of words too, which click does not break."""
    lines = [(each.command_path, line) for each in every_command() for line in each.get_help().splitlines()]
    assert len(lines) > 1000
    assert [(path, line) for path, line in lines if len(line) > 80] == []
