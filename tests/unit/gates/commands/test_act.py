"""Commands by which a person acts on a gate: typed at night, so all are told which gate in the same ways."""

import click
import pytest

from healthd_gates.commands import act

COMMANDS = [each for each in vars(act).values() if isinstance(each, click.Command)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_takes_the_latest_gate_of_a_service(command: click.Command) -> None:
    assert "--last" in {name for parameter in command.params for name in parameter.opts}
