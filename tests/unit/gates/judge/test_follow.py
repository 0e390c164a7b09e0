"""The candidate's share of the requests beside its weight: what it follows, and when its silence is no chance."""

from datetime import timedelta

import pytest

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.judge.follow import Follow, Silence, follows
from tests.unit.gates.judge.evidence import START


def seen(*looks: tuple[float, float]) -> Follow:
    """Looks of five seconds with so many requests of the candidate and of the baseline."""
    follow = Follow()
    for number, (n, m) in enumerate(looks, 1):
        at = START + timedelta(seconds=5 * number)
        follow.take(Evidence(at, 5.0, Counts(n, 0) if n else None, Counts(m, 0) if m else None))
    return follow


def test_the_newest_looks_count_and_none_before_the_weight() -> None:
    """More of them where they have few requests."""
    busy = seen(*[(50.0, 50.0)] * 20)
    assert busy.since(START, 0.5) == (300, 600)
    assert busy.since(START + timedelta(seconds=90), 0.5) == (100, 200)
    assert seen(*[(0.0, 1.0)] * 20).since(START, 0.1) == (0, 20)


def test_a_silence_ends_with_the_candidates_last_request() -> None:
    """And counts from the newest look in which the baseline had some: what neither reports says nothing."""
    silent = seen((50, 50), (0, 50), (0, 50), (0, 0)).silence(START, 0.5)
    assert silent == Silence(10.0, 100.0)
    assert silent.lasts(10.0)
    assert not silent.lasts(11.0)
    assert seen((0, 50), (0, 50)).silence(START + timedelta(seconds=5), 0.5) == Silence(5.0, 50.0)
    assert seen((0, 50)).silence(START, 1.0) == Silence(5.0, 0.0)
    assert not Silence(60.0, 9.0).lasts(10.0)


@pytest.mark.parametrize(
    ("weight", "requests", "total", "follows_it"),
    [(0.5, 50, 100, True), (0.5, 10, 100, False), (0.01, 0, 100, None), (1.0, 95, 100, True)],
)
def test_a_share_follows_its_weight(weight: float, requests: float, total: float, follows_it: bool | None) -> None:
    assert follows(weight, requests, total) is follows_it
