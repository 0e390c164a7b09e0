"""The words that sources share."""

import pytest

from healthd_gates.sources.contract import Arm, ArmError

HOSTILE = ['1"} or up{x="', "1\\", "a b", "a\nb", "a{b}", "", "ü", "$version", "x" * 129, "-rf", ".*", "1|2"]


def test_an_arm_gives_its_values_by_the_names_that_selectors_use() -> None:
    """Version, target and the request's own labels are what a selector may refer to."""
    arm = Arm("1.2.3+build~4", {"region": "eu-west-1"}, target="green")
    assert arm.values("candidate") == {"version": "1.2.3+build~4", "target": "green", "region": "eu-west-1"}


@pytest.mark.parametrize("value", HOSTILE)
def test_a_label_value_that_could_mean_more_than_a_word_is_refused(value: str) -> None:
    """The message names the field of the request."""
    with pytest.raises(ArmError, match=r"^baseline\.labels\.zone: use letters"):
        Arm("1", {"zone": value}).values("baseline")
    with pytest.raises(ArmError, match=r"^candidate\.version: "):
        Arm(value).values("candidate")
