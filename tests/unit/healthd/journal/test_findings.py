"""Results that replicas share, in the journal, and in the journal of the tests: both hold to the same rules."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.findings import Finding, FindingStore
from healthd.journal.leases import LEASE, Identity
from healthd.model import FailureKind, Measure, Result, Status
from tests.fakes.findings import Desk, FindingsJournal
from tests.fakes.monitoring import MIDNIGHT, HandClock
from tests.unit.healthd.journal.test_journal import BRANCHES

UP = Finding(Status.HEALTHY, MIDNIGHT, 0.02, Result.healthy("fine", latency=0.01, observed={"n": 1, "hosts": ["a"]}))
DOWN = Finding(
    Status.UNHEALTHY, MIDNIGHT, 2.0,
    Result(Status.UNHEALTHY, FailureKind.TIMEOUT, "no answer", retry_after=5.0, measures=(Measure("used", 0.5, "B"),)),
    MIDNIGHT - timedelta(hours=1), MIDNIGHT - timedelta(days=1),
)  # fmt: skip
OFFERS = {"api": "1", "db": "2"}


class Place:
    """A journal, and stores of replicas there."""

    def __init__(self, clock: HandClock, database: Database | None) -> None:
        self.clock, self._database = clock, database
        self._fake = FindingsJournal(clock, takes=0.0)

    def store(self, name: str, environment: str = "production") -> Any:
        identity = Identity(name, f"{name} :8080", f"host-{name}", lambda: environment)
        return FindingStore(self._database, identity) if self._database is not None else Desk(self._fake, identity)


@pytest.fixture(params=["journal", "double"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    clock = HandClock()
    if request.param == "double":
        yield Place(clock, None)
        return
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, BRANCHES)
    yield Place(clock, database)
    await database.close()


async def test_what_one_found_the_other_reads_once(place: Place) -> None:
    """As it was, with its age now; what changed since is read alone."""
    one, two = place.store("1"), place.store("2")
    assert (await one.exchange(OFFERS, {}, {})).anew
    await one.exchange(OFFERS, {"api": 3.0, "db": 0.4}, {"api": UP, "db": DOWN})
    place.clock.seconds += 2
    found = await two.exchange(OFFERS, {}, {})
    (runner,) = found.runners
    assert (runner.id, runner.address, runner.host, dict(runner.offers)) == ("1", "1 :8080", "host-1", OFFERS)
    assert runner.ages == pytest.approx({"api": 5.0, "db": 2.4})
    assert found.findings == {("1", "api"): UP, ("1", "db"): DOWN}
    assert not (await two.exchange(OFFERS, {}, {})).findings
    assert not (await one.exchange(OFFERS, {"api": 0.0}, {"db": UP})).anew
    found = await two.exchange(OFFERS, {}, {})
    assert (found.findings, found.runners[0].ages) == ({("1", "db"): UP}, {"api": 0.0})


async def test_new_offers_are_read(place: Place) -> None:
    """After a reload the ages are those of the new checks."""
    one, two = place.store("1"), place.store("2")
    await one.exchange(OFFERS, {"db": 1.0}, {})
    await two.exchange(OFFERS, {}, {})
    await one.exchange({"api": "9", "web": "3"}, {"web": 7.0}, {})
    (runner,) = (await two.exchange(OFFERS, {}, {})).runners
    assert (runner.offers, runner.ages) == ({"api": "9", "web": "3"}, {"web": 7.0})


async def test_who_counts(place: Place) -> None:
    """Nobody after its lease, nor of another environment; who leaves, at once; a restart is another one."""
    one, two, other = place.store("1"), place.store("2"), place.store("3", "staging")
    for store in (one, two, other):
        await store.exchange(OFFERS, {"db": 0.0}, {"db": UP})
    assert [it.id for it in (await two.exchange(OFFERS, {}, {})).runners] == ["1"]
    assert not (await other.exchange(OFFERS, {}, {})).runners
    place.clock.seconds += LEASE + 1
    assert not (await two.exchange(OFFERS, {}, {})).runners
    await one.exchange(OFFERS, {}, {})
    assert [it.id for it in (await two.exchange(OFFERS, {}, {})).runners] == ["1"]
    await one.leave()
    assert not (await two.exchange(OFFERS, {}, {})).runners
    reborn = place.store("1b")
    assert (await reborn.exchange(OFFERS, {}, {"db": DOWN})).anew
    assert (await two.exchange(OFFERS, {}, {})).findings == {("1b", "db"): DOWN}


async def test_who_was_removed_writes_all_anew(tmp_path: Path) -> None:
    """As after a long pause of the process, in which others took its rows for those of a dead one; what a dead one
    left is removed with its row."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, BRANCHES)
    place = Place(clock, database)
    one, two = place.store("1"), place.store("2")
    await one.exchange(OFFERS, {}, {"api": UP})
    clock.seconds += 600
    await two.exchange(OFFERS, {}, {})
    async with database.read() as connection:
        assert not (await connection.execute(sa.select(tables.findings))).all()
    assert (await one.exchange(OFFERS, {"db": 0.0}, {"db": UP})).anew
    found = await two.exchange(OFFERS, {}, {})
    assert (found.findings, found.runners[0].offers) == ({("1", "db"): UP}, OFFERS)
    await database.close()


@pytest.mark.parametrize(
    "broken", [{"offers": "[]", "offers_mark": "x"}, {"ages": "?"}, {"ages": "[1]"}, {"ages": "3"}]
)
async def test_what_another_release_wrote_is_left_out(tmp_path: Path, broken: dict[str, str]) -> None:
    """Its checks are run here then."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, BRANCHES)
    place = Place(clock, database)
    one, two = place.store("1"), place.store("2")
    await one.exchange(OFFERS, {"db": 0.0}, {"db": UP, "api": UP})
    async with database.write() as connection:
        await connection.execute(sa.update(tables.runners).values(**broken))
        strange = sa.update(tables.findings).where(tables.findings.c.check_name == "api")
        await connection.execute(strange.values(finding='{"status": "purple"}'))
    found = await two.exchange(OFFERS, {}, {})
    assert not found.runners[0].ages
    assert found.findings == {("1", "db"): UP}
    await database.close()
