"""Incidents in a real PostgreSQL, which replicas share."""

from dataclasses import dataclass
from datetime import timedelta

from healthd.config.incident import Update
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.incidents import IncidentStore
from healthd.journal.journal import AuditEntry
from healthd.journal.past import Past
from healthd.monitoring.incidents import Incidents
from healthd.runtime.clock import SystemClock


@dataclass
class Replica:
    database: Database
    incidents: Incidents

    async def look(self) -> set[str]:
        await self.incidents._save()
        await self.incidents._load()
        return {it.text for each in self.incidents.all() for it in each.updates}


async def test_three_replicas(postgresql_dsn: str) -> None:
    """Each reads what the others were told, also what was told twice, and the audit has each once."""
    clock = SystemClock()
    databases = [Database(postgresql_dsn, clock, (tables.BRANCH,)) for _ in range(3)]
    for database in databases:
        await database.open()
    replicas = [Replica(it, Incidents(IncidentStore(it, clock), clock, lambda: 86400)) for it in databases]
    for number, replica in enumerate(replicas):
        update = Update(
            id=f"u{number}", incident="0f", at=clock.now() + timedelta(seconds=number), author="ada", pages=("shop",),
            title="Payments fail – 障害", components=(), impact="outage", state="investigating", text=f"text {number}",
        )  # fmt: skip
        await replica.incidents.add(update, "incident.update")
        # As after a commit whose answer was lost:
        await IncidentStore(replica.database, clock).add(
            [update], [AuditEntry("ada", "incident.update", "0f", {"update": update.id})]
        )
    for replica in replicas:
        await replica.look()
    texts = [await replica.look() for replica in replicas]
    assert texts == [{"text 0", "text 1", "text 2"}] * 3
    assert len({replica.incidents.all() for replica in replicas}) == 1
    assert len(await Past(databases[0]).audit(action="incident.")) == 3
    for database in databases:
        await database.close()
