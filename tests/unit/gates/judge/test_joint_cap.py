"""All reports that one disturbance can touch say no more together than it may, however uneven they are."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd_gates.judge.joint_cap import UNCAPPED, Caps, JointCap

CAPS = Caps(4.6, 3, 5)
Reports = Sequence[tuple[float, bool]]


def credited(reports: Reports, caps: Caps = CAPS) -> list[float]:
    """What a bet is credited with over reports of (ln e, whether they are of trouble that began late)."""
    joint = JointCap(1)
    return [joint.step([log_e], caps, late=late)[0] for log_e, late in reports]


@given(st.lists(st.tuples(st.floats(-20, 20), st.booleans()), max_size=30))
def test_no_run_of_reports_says_more_than_a_disturbance_may(reports: Reports) -> None:
    """Any three in a row stay within 4.6 nats together, any five of late trouble too, and none gains by it."""
    said = credited(reports)
    for first in range(len(said)):
        assert all(sum(said[first : first + run]) <= 4.6 + 1e-9 for run in (1, 2, 3))
        if all(late for _, late in reports[first : first + 5]):
            assert sum(said[first : first + 5]) <= 4.6 + 1e-9
    assert all(one <= log_e for one, (log_e, _) in zip(said, reports, strict=True))


def test_a_strong_report_makes_up_for_a_weak_one() -> None:
    """Three reports of 2.5, 0.5 and 1.5 nats keep all of it; at an even share each they would say 3.5."""
    assert credited([(2.5, False), (0.5, False), (1.5, False)]) == [2.5, 0.5, 1.5]


def test_one_report_says_at_most_two_shares() -> None:
    """A burst within one report is not worth what a disturbance of three is."""
    assert credited([(9.0, False), (-1.0, False)]) == pytest.approx([4.6 * 2 / 3, -1.0])


def test_a_calm_report_makes_no_room() -> None:
    """What speaks for the candidate in between does not let a disturbance say more."""
    assert credited([(3.0, False), (-5.0, False), (3.0, False)]) == pytest.approx([3.0, -5.0, 1.6])


def test_late_trouble_has_even_shares() -> None:
    """A fifth of a verdict each, that two disturbances in a row stay below it; and what came before counts."""
    assert credited([(3.0, True)] * 6) == pytest.approx([0.92] * 6)
    assert credited([(3.0, False), (3.0, False), (3.0, True)]) == pytest.approx([3.0, 1.6, 0.0])


def test_without_caps_all_of_it_counts() -> None:
    """Nothing is lost where no caps are given."""
    assert credited([(50.0, False), (60.0, True)], UNCAPPED) == [50.0, 60.0]
