"""Processes that come and go under new names: a crash loop where each life is another pod."""

import pytest

from healthd_gates.domain.evidence import Lives
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.lives import lives_of
from healthd_gates.sources.processes import Sign, read
from healthd_gates.sources.prometheus_api import Series

LOOK = (100.0, 105.0)
"""Those that were last heard of in these seconds have been given up by this look."""


def pod(born: float | None, last: float) -> Snapshot:
    return Snapshot(last, {Counter(Family.REQUESTS, "a"): 10.0}, born=born)


@pytest.mark.parametrize(
    ("states", "lives"),
    [
        ([pod(None, 101), pod(None, 104)], Lives()),
        ([pod(20, 101), pod(30, 150)], Lives(restarts=1)),
        ([pod(20, 60), pod(40, 80), pod(90, 103)], Lives(restarts=1, repeated=1)),
        ([pod(90, 101), pod(95, 102), pod(97, 103)], Lives(restarts=3, repeated=2)),
        ([pod(20, 60), pod(40, 80)], Lives()),
        ([pod(-50, 101), pod(-40, 104)], Lives()),
    ],
    ids=["old ones leave", "one is scaled away", "again", "three at once", "told before", "long lives"],
)
def test_only_short_lives_that_began_in_the_gate_count(states: list[Snapshot], lives: Lives) -> None:
    """A rollout takes old pods away, and a scaler some new ones; neither is a crash."""
    assert lives_of("candidate", Increase(), dict(enumerate(states)), (), gone_between=LOOK) == lives  # type: ignore[arg-type]


def test_a_process_that_is_known_and_away_is_down() -> None:
    """One that nobody has heard of in this gate may be a remnant, such as an evicted pod that is still listed."""
    labels = {"__name__": "up", "job": "api"}
    signs = [
        Series({**labels, "instance": "a"}, ((1, 1), (2, 0))),
        Series({**labels, "instance": "b"}, ((1, 0), (2, 1))),
        Series({**labels, "instance": "c"}, ((1, 0), (2, 0))),
    ]
    reading = read({Sign.UP: signs}, ("job", "instance"), news_after=0)
    assert reading.down == {"api a", "api c"}
    states = {"api a": pod(None, 104), "api b": pod(None, 104)}
    assert lives_of("candidate", Increase(), states, reading.down, gone_between=LOOK) == Lives(down=1)


def test_pods_that_count_no_requests_of_the_baseline_are_not_its_own() -> None:
    """`up` of one job for both versions shows the baseline the candidate's pods too."""
    silent = {name: Snapshot(last, {}, born=90) for name, last in (("a", 101.0), ("b", 102.0), ("c", 103.0))}
    assert lives_of("baseline", Increase(), silent, (), gone_between=LOOK) == Lives()
    assert lives_of("candidate", Increase(), silent, (), gone_between=LOOK) == Lives(restarts=3, repeated=2)
