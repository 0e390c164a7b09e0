"""What a benchmark of harder traffic counts, and which of its cells it marks."""

import pytest

from bench.detection import adversarial, cells
from bench.detection.judged import shipped
from bench.detection.trials import Tally

pytestmark = pytest.mark.proof

NEVER = float("inf")


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ([NEVER] * 300, "0 of 300"),
        ([60.0] + [NEVER] * 299, "**1 of 300, 0.3 % [0 %, 1.6 %]**"),
        ([60.0] + [NEVER] * 999, "1 of 1000, 0.1 % [0 %, 0.5 %]"),
    ],
)
def test_a_cell_whose_bound_is_above_what_is_stated_is_marked(times: list[float], shown: str) -> None:
    """By the upper end of its interval, not by what was found."""
    assert adversarial._kept(Tally(tuple(times))) == shown


def test_its_traffic_is_not_that_of_the_other_benchmark() -> None:
    """No scenario of the grid is there again under another name, and what keeps is not what harms."""
    grid = {repr(each).split(",", 1)[1] for each in cells.HEALTHY + cells.HARMFUL}
    own = [repr(each).split(",", 1)[1] for each in adversarial.HEALTHY + adversarial.HARMFUL]
    assert not grid.intersection(own)
    assert [each.harmful for each in adversarial.HEALTHY] == [False] * len(adversarial.HEALTHY)


@pytest.mark.parametrize("policy", ["canary", "post-switch"])
def test_a_healthy_version_with_other_buckets_stays(policy: str) -> None:
    """Of two runs, which the judge of the product sees."""
    assert adversarial._unlike_buckets(shipped(policy, 5.0), 50.0, 0.01, 2, 7).count == 0
