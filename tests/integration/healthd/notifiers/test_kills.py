"""Real processes on one PostgreSQL, one of them killed at a random moment, some times over. A hundred times over is
`python -m bench.kills`; for notices alone, in virtual time, it is in `unit/healthd/notify/test_replicas.py`."""

from pathlib import Path

import pytest

from bench.kills import shift


@pytest.mark.timeout(600)
async def test_one_of_two_is_killed(postgresql_dsn: str, tmp_path: Path) -> None:
    """Each failure and each end is told once, or once more under the same id where who told it was killed; heartbeats,
    windows, tokens and sign-outs are in force on each."""
    kills = 4
    found = await shift(kills, 2, postgresql_dsn, 5, tmp_path)
    assert found.faults == []
    assert found.kills == kills
    assert found.told == found.due > 0
    assert found.again <= 4 * kills  # so many change at once
