"""Real processes on one PostgreSQL, one of them killed at a random moment, some times over. A hundred times over is
`python -m bench.kills`; for notices alone, in virtual time, it is in `unit/healthd/notify/test_replicas.py`."""

import random
from pathlib import Path

import pytest

from bench.kills import Change, Found, Target, shift

Told = list[tuple[str, str, bool]]
FIRING, OTHER, OVER = ("firing", "c00/1", False), ("firing", "c00/2", False), ("over", "c00/3", False)
UNASKED = ("firing", "c00/4", True)


@pytest.mark.timeout(600)
async def test_one_of_two_is_killed(postgresql_dsn: str, tmp_path: Path) -> None:
    """Each failure and each end is told once, or once more under the same id where who told it was killed, or by each
    where the machine is so busy that the journal does not answer; heartbeats, windows, tokens and sign-outs are in
    force on each."""
    kills = 4
    found = await shift(kills, 2, postgresql_dsn, 5, tmp_path)
    assert found.faults == []
    assert found.kills == kills
    assert found.told >= found.due > 0
    assert found.again <= 4 * kills  # so many change at once


@pytest.mark.parametrize(
    ("told", "again", "unasked", "faults"),
    [
        ([FIRING], 0, 0, 0),
        ([FIRING, FIRING], 1, 0, 0),
        ([FIRING, OTHER], 0, 0, 1),
        ([FIRING, UNASKED], 0, 1, 0),
        ([FIRING, OVER], 0, 0, 1),
        ([OVER], 0, 0, 1),
        ([], 0, 0, 1),
    ],
)
def test_what_is_told_of_a_failure_is_judged(told: Told, again: int, unasked: int, faults: int) -> None:
    """What the documentation allows is counted apart; all else, and silence above all, is a fault."""
    target, found = Target(random.Random(1)), Found()
    change = Change("firing", 1.0)
    target.changes["c00"].append(change)
    for kind, id_, was_unasked in told:
        change.hear(kind, id_, unasked=was_unasked)
    target.judge(found)
    assert (found.due, found.again, found.unasked, len(found.faults)) == (1, again, unasked, faults)


@pytest.mark.parametrize(("told_before", "faults"), [(True, 0), (False, 1)])
def test_a_repetition_after_the_end_is_a_fault(told_before: bool, faults: int) -> None:
    """Until the end is told, who follows a killed replica may repeat the failure."""
    target, found = Target(random.Random(1)), Found()
    target.changes["c00"].append(Change("firing", 1.0))
    target.hear("c00", "firing", "c00/1")
    target.changes["c00"].append(Change("over", 2.0))
    for kind, id_ in [("firing", "c00/1"), ("over", "c00/2")][:: 1 if told_before else -1]:
        target.hear("c00", kind, id_)
    target.judge(found)
    assert (found.again, len(found.faults)) == (1 - faults, faults)
