"""The PostgreSQL that tests start is real, breaks as asked, and leaves nothing behind."""

import asyncpg
import psutil
import pytest

from tests.servers import postgresql


async def test_clones_answer_their_own_role(postgresql_dsn: str) -> None:
    """Each test has a database of its own that its role may write to."""
    connection = await asyncpg.connect(postgresql_dsn)
    await connection.execute("CREATE TABLE seen (at timestamptz)")
    assert await connection.fetchval("SELECT count(*) FROM seen") == 0
    await connection.close()


async def test_wrong_password_is_refused(postgresql_dsn: str) -> None:
    """Logins are checked, as in production."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgresql_dsn, password="wrong")


async def test_breaks_and_recovers() -> None:
    """Exhausted, frozen, stopped: each shows to a client, each can be undone, and no process stays."""
    with postgresql.primary({"max_connections": "8"}) as server:
        async with server.database() as dsn:
            async with server.exhausted(dsn):
                with pytest.raises(asyncpg.TooManyConnectionsError):
                    await asyncpg.connect(dsn)
            tree = server.process.tree()
            server.pause()
            with pytest.raises(TimeoutError):
                await asyncpg.connect(dsn, timeout=0.2)
            server.resume()
            await (await asyncpg.connect(dsn)).close()
            server.stop()
            with pytest.raises(ConnectionRefusedError):
                await asyncpg.connect(dsn)
            server.start()
            tree += server.process.tree()
            assert await server.execute("SELECT pg_is_in_recovery()") is False
    assert len(tree) > 8
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in tree)


async def test_standby_streams_until_cut_off() -> None:
    """A standby follows its primary, loses its WAL receiver on demand, and finds it again."""
    with postgresql.primary() as server:
        async with postgresql.standby(server) as standby:
            assert await standby.execute("SELECT pg_is_in_recovery()") is True
            await standby.cut_off()
            assert not await standby.streams()
            await standby.reattach()
            assert await standby.streams()
