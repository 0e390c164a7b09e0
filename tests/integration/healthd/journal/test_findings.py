"""Results that replicas share, in a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.findings import Finding, FindingStore
from healthd.journal.leases import Identity
from healthd.model import Result, Status
from healthd.runtime.clock import SystemClock

UP = Finding(Status.HEALTHY, datetime(2026, 3, 29, tzinfo=UTC), 0.02, Result.healthy("a \x00 and \ud800"))


async def test_four_at_once(postgresql_dsn: str) -> None:
    """Each reads once what each other one wrote, whatever the order of their transactions."""
    offers = {f"c{number}": "1" for number in range(1000)}
    databases = [Database(postgresql_dsn, SystemClock(), (tables.BRANCH,)) for _ in range(4)]
    identities = [Identity(f"r{number}", f"r{number} :1", "host", lambda: "production") for number in range(4)]
    stores = [FindingStore(*each) for each in zip(databases, identities, strict=True)]
    seen: list[list[tuple[str, str]]] = [[] for _ in stores]

    async def play(number: int) -> None:
        for turn in range(6):
            mine = {f"c{250 * number + each}": UP for each in range(turn, 250, 6)}
            found = await stores[number].exchange(offers, dict.fromkeys(mine, 1.0), mine)
            seen[number] += found.findings

    await asyncio.gather(*(play(number) for number in range(4)))
    for number, store in enumerate(stores):
        found = await store.exchange(offers, {}, {})
        assert len(found.runners) == 3
        seen[number] += found.findings
        assert sorted(seen[number]) == sorted(
            (f"r{other}", f"c{250 * other + each}") for other in range(4) if other != number for each in range(250)
        )
    for each in databases:
        await each.close()
