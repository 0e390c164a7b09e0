"""A status that outlives a restart keeps its beginning."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from healthd.journal.errors import JournalError
from healthd.model import Status, Transition
from healthd.monitoring.earlier import Earlier, Stored, last_runs
from tests.fakes.monitoring import DOWN, MIDNIGHT, UP, LoopClock, Scripted, Stage

pytestmark = pytest.mark.looptime
UNKNOWN, HEALTHY, UNHEALTHY = Status.UNKNOWN, Status.HEALTHY, Status.UNHEALTHY
LONG_AGO = MIDNIGHT - timedelta(hours=3)
RESTARTED = MIDNIGHT - timedelta(hours=1)
STORED: list[Stored] = [
    ("db", LONG_AGO - timedelta(hours=1), UNKNOWN, HEALTHY),
    ("db", LONG_AGO, HEALTHY, UNHEALTHY),
    ("db", RESTARTED, UNKNOWN, UNHEALTHY),
]


class Restart(Stage):
    """A daemon that has just started, with a journal that is away for some reads."""

    def __init__(self, *, away: int = 0) -> None:
        super().__init__(LoopClock())
        self.away = away
        self.earlier = Earlier(self.board, self.read)

    async def read(self, seconds: float) -> Sequence[Stored]:
        self.away -= 1
        if self.away >= 0:
            raise JournalError("away")
        return STORED

    async def probe(self, *acts: object, scope: str = "shared") -> None:
        monitor = self.monitor(Scripted(*acts), scope=scope)  # type: ignore[arg-type]
        for _ in acts:
            await monitor.run()
            for transition in self.transitions:
                self.earlier.changed(transition)
            self.transitions.clear()
            await asyncio.sleep(1)


def test_a_run_goes_through_restarts_and_ends_where_nobody_looked() -> None:
    assert last_runs(STORED) == {"db": (UNHEALTHY, LONG_AGO)}
    overdue = [*STORED, ("db", MIDNIGHT, UNHEALTHY, UNKNOWN)]
    assert last_runs(overdue) == {"db": (UNKNOWN, MIDNIGHT)}


@pytest.mark.parametrize("away", [0, 3])
@pytest.mark.parametrize("late", [False, True])
async def test_what_still_fails_has_failed_all_the_time(away: int, late: bool) -> None:
    """Whether the check or the journal answers first, and where the journal is away for a while."""
    stage = Restart(away=away)
    reading = asyncio.create_task(stage.earlier.run())
    if late:
        await asyncio.sleep(60)
    await stage.probe(DOWN)
    await asyncio.sleep(10)
    assert stage.board.check("db").since == LONG_AGO
    reading.cancel()


@pytest.mark.parametrize("acts", [(UP,), (DOWN, UP), (UP, DOWN), (DOWN, UP, DOWN)])
async def test_what_has_changed_began_then(acts: tuple[object, ...]) -> None:
    stage = Restart(away=3)
    reading = asyncio.create_task(stage.earlier.run())
    await stage.probe(*acts)
    await asyncio.sleep(10)
    since = stage.board.check("db").since
    assert since is not None
    assert since >= MIDNIGHT
    reading.cancel()


@pytest.mark.parametrize(("of_one_host", "since"), [(True, LONG_AGO), (False, MIDNIGHT)])
async def test_a_check_of_this_host_did_not_begin_at_another(of_one_host: bool, since: datetime) -> None:
    """Hosts that share a journal do not share a disk: one that is full since yesterday tells nothing of the other."""
    stage = Restart()
    stage.earlier = Earlier(stage.board, stage.read, of_one_host=of_one_host)
    reading = asyncio.create_task(stage.earlier.run())
    await stage.probe(DOWN, scope="local")
    assert stage.board.check("db").since == since
    reading.cancel()


async def test_another_check_is_left_alone() -> None:
    stage = Restart()
    reading = asyncio.create_task(stage.earlier.run())
    await asyncio.sleep(1)
    stage.earlier.changed(Transition("gone", UNKNOWN, UNHEALTHY, MIDNIGHT, None))
    await asyncio.sleep(1)
    assert not reading.done()
    reading.cancel()
