"""A PostgreSQL that freezes or restarts while gates run."""

import asyncio
from urllib.parse import urlsplit

import pytest

from healthd.runtime.clock import SystemClock
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import config, request, start_replica
from tests.servers import postgresql

pytestmark = pytest.mark.usefixtures("_scripted")
QUICK = {"initial_delay": "1s", "interval": "1s", "observe": {"min": "3s", "max": "60s"}}


@pytest.mark.parametrize("way", ["restart", "freeze"])
async def test_gates_outlast_their_database(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started meanwhile, and what was started comes to its verdict."""
    monkeypatch.setattr("healthd.journal.engines.COMMAND_SECONDS", 1.0)
    monkeypatch.setattr("healthd.journal.engines.CONNECT_SECONDS", 1.0)
    with postgresql.primary() as server:
        async with server.database() as dsn:
            replica = await start_replica(dsn, config(policy=QUICK, gates={"lease_duration": "5s"}), SystemClock())
            gate = await replica.keeper.start(request(), caller="ci")
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.kill if way == "restart" else server.pause)
            with pytest.raises(refusals.JournalUnavailable):
                await replica.keeper.start(request("web"), caller="ci")
            assert (await replica.keeper.get(gate.id)).decision is None
            # In this thread: the kernel ends a server when the thread that launched it goes away.
            server.start() if way == "restart" else server.resume()
            decided = await replica.keeper.wait(gate.id, 60)
            assert decided.decision is not None
            assert decided.decision.verdict is Verdict.PASS
            assert [each.service for each in (await replica.keeper.list()).gates] == ["api"]
            await replica.stop()


async def test_rights_that_are_taken_for_a_while_leave_no_gate_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are refused meanwhile; once they are given back all go on, without a restart."""
    monkeypatch.setattr("healthd_gates.engine.supervisor._PAUSE_SECONDS", 0.5)
    with postgresql.primary() as server:
        async with server.database() as dsn:
            name = urlsplit(dsn).path.strip("/")
            replica = await start_replica(dsn, config(policy=QUICK, gates={"lease_duration": "2s"}), SystemClock())
            gate = await replica.keeper.start(request(), caller="ci")
            await asyncio.sleep(1.5)
            await server.execute("ALTER TABLE healthd_gates OWNER TO postgres", name)
            with pytest.raises(refusals.JournalUnavailable, match="GRANT"):
                await replica.keeper.start(request("web"), caller="ci")
            await asyncio.sleep(2)
            assert not replica.task.done()
            await server.execute(f"ALTER TABLE healthd_gates OWNER TO {name}", name)
            decided = await replica.keeper.wait(gate.id, 60)
            assert decided.decision is not None
            assert decided.decision.verdict is Verdict.PASS
            await replica.stop()
