"""One criterion as a line of characters."""

import pytest

from healthd_gates.commands.gauge import gauge, number
from healthd_gates.domain.standing import Unit


def drawn(
    interval: tuple[float, float | None] | None, observed: float | None, limit: float | None
) -> tuple[str, set[str]]:
    text = gauge(interval, observed, limit, width=21)
    return text.plain, {str(span.style) for span in text.spans}


def test_an_interval_under_the_limit_is_green() -> None:
    """Between the ends lies the truth, and all of it left of the limit."""
    line, styles = drawn((0.01, 0.03), 0.02, 0.04)
    assert line == "────├━━━●━━━┤───┃────"
    assert "green" in styles


def test_an_interval_around_the_limit_is_undecided() -> None:
    """The limit is drawn over it."""
    line, styles = drawn((0.02, 0.05), 0.03, 0.04)
    assert line.index("├") < line.index("●") < line.index("┃") < line.index("┤")
    assert "yellow" in styles


def test_an_interval_above_the_limit_is_red() -> None:
    """Harm is on the right."""
    line, styles = drawn((0.05, 0.08), 0.06, 0.04)
    assert line.index("┃") < line.index("├")
    assert "red" in styles


@pytest.mark.parametrize("high", [1.0, None])
def test_an_end_that_is_far_away_stays_open(high: float | None) -> None:
    """With the first ten requests nearly everything is possible, and the limit must still be seen."""
    line, _ = drawn((0.0, high), 0.0, 0.01)
    assert "┤" not in line
    assert line.endswith("━")
    assert "┃" in line


def test_nothing_known_is_nothing_drawn() -> None:
    """A criterion that measures nothing has no line, one that has seen nothing yet only its limit."""
    assert drawn(None, None, None)[0] == ""
    assert drawn(None, None, 0.05)[0].replace("─", "") == "┃"
    assert drawn((0.0, 0.0), 0.0, None)[0]


def test_numbers_carry_their_units() -> None:
    """As in the sentences."""
    assert number(0.0123, Unit.RATIO) == "1.23 %"
    assert number(0.25, Unit.SECONDS) == "250 ms"
    assert number(None, Unit.SECONDS) == "–"
