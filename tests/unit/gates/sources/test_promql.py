"""What a request fills in cannot end the string that it stands in, nor change a pattern."""

import pytest

from healthd_gates.sources.contract import Arm, ArmError
from healthd_gates.sources.promql import Expression, selector_of

ARM = Arm("1.2+3", {"zone": "eu"}, "green")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ('max(up{version="$version"})', 'max(up{version="1.2+3"})'),
        ('sum(rate(x{v=~"$version-.*"}[5m]))', 'sum(rate(x{v=~"1\\\\.2\\\\+3-.*"}[5m]))'),
        ("x{v!~ `$version|a`}", "x{v!~ `1\\.2\\+3|a`}"),
        ("x{t='$target',z=\"$zone\"} / 2", "x{t='green',z=\"eu\"} / 2"),
        ('x{a="price: \\"$version\\""}', 'x{a="price: \\"1.2+3\\""}'),
    ],
)
def test_placeholders_are_filled_in(text: str, filled: str) -> None:
    expression = Expression.parse(text)
    assert expression.fill("candidate", ARM) == filled
    assert expression.tells_apart


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x{v=$version}", "must stand in a quoted string"),
        ("rate(x[$__interval])", "must stand in a quoted string"),
        ('sum(x{v="a"}', "in different numbers"),
        ('x{v="a}', "string that does not end"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Expression.parse(text)


def test_a_label_that_the_request_lacks_is_named() -> None:
    with pytest.raises(ArmError, match=r"candidate\.labels\.pod: is needed"):
        Expression.parse('x{p="$pod"}').fill("candidate", ARM)


def test_a_plain_selector_is_told_from_an_expression() -> None:
    assert selector_of('x{v="$version"}') is not None
    assert selector_of("x > 1") is None
