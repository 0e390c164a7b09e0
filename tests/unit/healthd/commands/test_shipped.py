"""The examples as they are printed."""

import pytest

from healthd.commands import shipped

LINE = "# yaml-language-server: $schema="


@pytest.mark.parametrize("name", [name for name in shipped.NAMES if LINE in shipped.read(name)])
def test_an_example_names_a_schema_that_can_be_made(name: str) -> None:
    """Not the path at which the repository has it; the command that writes it stands beside."""
    (line,) = [line for line in shipped.read(name).splitlines() if line.startswith(LINE)]
    assert line == f"{LINE}./healthd.schema.json      healthd config schema > healthd.schema.json"
