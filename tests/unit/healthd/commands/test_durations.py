"""Durations on the command line: with a unit as everywhere, or as a number of seconds."""

import click
import pytest

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
