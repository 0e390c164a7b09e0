"""Durations on the command line: with a unit as everywhere, or as a number of seconds."""

import click
import pytest
from click.testing import CliRunner

from healthd.cli import main
from healthd.commands.options import Seconds


@pytest.mark.parametrize(("written", "seconds"), [("30", 30), ("30s", 30), ("0.5", 0.5), ("1m30s", 90), (5.0, 5)])
def test_durations(written: object, seconds: float) -> None:
    assert Seconds().convert(written, None, None) == seconds


@pytest.mark.parametrize("written", ["0", "0s", "-1", "nan", "inf", "soon", "5 m"])
def test_durations_that_are_none(written: str) -> None:
    """Zero is one only where that means something."""
    with pytest.raises(click.BadParameter):
        Seconds().convert(written, None, None)
    if written.startswith("0"):
        assert Seconds(may_be_zero=True).convert(written, None, None) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["source", "test", "api", "--for", "2m0"], "is not a duration"),
        (["source", "test", "api", "--for", "0.5"], "500ms is not between 1s and 10m"),
        (["gate", "lock", "api", "--holder", "x", "--reason", "y", "--for", "0s"], "'0s' is not more than zero"),
        (["gate", "simulate", "--rate", "5", "--latency", "200"], "'200' is not a duration"),
        (["gate", "simulate", "--rate", "5", "--action", "0"], "'0' is not more than zero"),
    ],
)
def test_every_command_reads_them_alike(words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, words)
    assert said in result.output
    assert result.exit_code == (3 if words[0] == "gate" else 2)  # 2 is a verdict of a gate
