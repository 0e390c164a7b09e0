"""Wrong values of options and arguments are told in plain words, with the nearest valid word, by every command."""

import pytest
from click.testing import CliRunner

from healthd.cli import main as healthd
from healthd.commands.values import Choice
from healthd_deploy.cli import main as healthd_deploy
from tests.unit.healthd.commands.tree import every_command

GROUPS = {"healthd": healthd, "healthd-deploy": healthd_deploy}
_BY_CLICK = {"choice", "float", "float range", "integer", "integer range"}


def said(line: str) -> str:
    """The last line that a command prints of a mistake."""
    name, *words = line.split()
    done = CliRunner().invoke(GROUPS[name], words)
    assert done.exit_code in {2, 3}
    return done.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "told", "meant"),
    [
        ("healthd window add sillence --reason x", "value for 'KIND': 'sillence' is not one of", "silence"),
        ("healthd token new --scope gates:verfy", "value for '--scope': 'gates:verfy' is not one of", "gates:verify"),
        ("healthd token new --role oper", "value for '--role': 'oper' is not one of", "operator"),
        ("healthd gate list --state finishd", "value for '--state': 'finishd' is not one of", "finished"),
        ("healthd completion bsh", "value for 'SHELL': 'bsh' is not one of", "bash"),
        ("healthd-deploy nginx blue-green 1 --strategy rmp", "value for '--strategy': 'rmp' is not one of", "ramp"),
    ],
)
def test_a_word_that_is_none_of_the_valid_is_told_with_the_nearest(line: str, told: str, meant: str) -> None:
    """Of options and arguments alike, in both command lines."""
    assert told in said(line)
    assert said(line).endswith(f". Did you mean {meant}?")


def test_a_word_like_none_is_told_without_a_guess() -> None:
    """With those that there are."""
    assert said("healthd token new --role zzz").endswith("not one of 'viewer', 'deployer', 'operator', 'admin'.")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("healthd gate simulate --rate abc", "'abc' is not a valid number."),
        ("healthd gate simulate --rate nan", "'nan' is not a finite number."),
        ("healthd gate simulate --rate inf", "'inf' is not a finite number."),
        ("healthd gate simulate --rate 1 --seed x", "'x' is not a valid whole number."),
        ("healthd history --days 1.5", "'1.5' is not a valid whole number."),
        ("healthd-deploy nginx switch green --weight x", "'x' is not a valid number."),
    ],
)
def test_a_value_that_is_no_number_is_told_in_plain_words(line: str, told: str) -> None:
    """Without the type's name in a program."""
    assert said(line).endswith(told)


def test_every_command_has_these_types() -> None:
    """None takes words or numbers by a type of click that says less."""
    wrong = [
        f"{context.command_path}: {param.name}"
        for context in every_command()
        for param in context.command.params
        if param.type.name in _BY_CLICK and not isinstance(param.type, Choice)
    ]
    assert wrong == []
