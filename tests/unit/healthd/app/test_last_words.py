"""What is written to the journal as the daemon ends."""

from types import SimpleNamespace
from typing import Any, cast

from healthd.app.rest import Rest
from healthd.journal.errors import JournalError


async def test_what_the_replicas_share_keeps_nothing_else_from_the_journal() -> None:
    """A replica that cannot sign off is missed within a lease; a transition that was not stored is lost."""
    done: list[str] = []

    def step(name: str) -> Any:
        async def act() -> None:
            done.append(name)
            if name == "leave":
                raise JournalError("no such table")

        return act

    rest = cast("Any", object.__new__(Rest))
    rest.spread, rest.journal = SimpleNamespace(leave=step("leave")), SimpleNamespace(flush=step("transitions"))
    rest.heartbeats, rest.database = SimpleNamespace(flush=step("heartbeats")), SimpleNamespace(close=step("close"))
    rest.incidents = SimpleNamespace(flush=step("incidents"))
    rest.ended_sessions = SimpleNamespace(flush=step("ended sessions"))
    await rest.close(None)
    assert done == ["transitions", "heartbeats", "incidents", "ended sessions", "leave", "close"]
