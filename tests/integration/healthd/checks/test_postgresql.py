"""The postgresql check's truth table, against real servers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
import pytest_asyncio

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import Watched, watched
from tests.servers import peers, postgresql, tcp, tls
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until


@pytest.fixture(scope="module")
def small_server() -> Iterator[postgresql.PostgreSQL]:
    """A primary that a test may fill, pause or stop, as long as it leaves it running."""
    with postgresql.primary({"max_connections": "12"}) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standby(small_server: postgresql.PostgreSQL) -> AsyncIterator[postgresql.Standby]:
    async with postgresql.standby(small_server) as server:
        yield server


@pytest.fixture
async def small_dsn(small_server: postgresql.PostgreSQL) -> AsyncIterator[str]:
    async with small_server.database() as dsn:
        yield dsn


async def test_primary_is_healthy(postgresql_dsn: str) -> None:
    """A writable primary, asked by a role without any grant: role, version and connections are observed."""
    async with watched("postgresql", uri=postgresql_dsn) as check:
        result = await check.finds(Status.HEALTHY)
        assert result.latency is not None
        assert 0 < result.latency < 1
        assert result.observed["role"] == "primary"
        assert result.observed["readOnly"] is False
        assert str(result.observed["version"])[0].isdigit()
        assert 1 <= int(str(result.observed["connectionsUsed"])) < int(str(result.observed["maxConnections"]))


async def test_one_connection_serves_all_probes(postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str) -> None:
    """No connection storm: ten probes are one session."""
    user = urlsplit(postgresql_dsn).username
    backends = f"SELECT array_agg(pid) FROM pg_stat_activity WHERE usename = '{user}'"
    async with watched("postgresql", uri=postgresql_dsn) as check:
        await check.finds(Status.HEALTHY)
        first = await postgresql_server.execute(backends)
        for _ in range(9):
            await check.finds(Status.HEALTHY)
        assert await postgresql_server.execute(backends) == first
        assert isinstance(first, list)
        assert len(first) == 1


async def test_count_of_connections_needs_no_grant(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str
) -> None:
    """Sessions of other roles count too, although an ordinary role cannot see what they do."""
    async with watched("postgresql", uri=postgresql_dsn) as check:
        before = int(str((await check.finds(Status.HEALTHY)).observed["connectionsUsed"]))
        others = [await asyncpg.connect(postgresql_server.dsn) for _ in range(3)]
        after = int(str((await check.finds(Status.HEALTHY)).observed["connectionsUsed"]))
        for other in others:
            other.terminate()
    assert after == before + 3


async def test_wrong_password(postgresql_server: postgresql.PostgreSQL) -> None:
    """A login that is refused."""
    uri = postgresql_server.dsn_for("postgres", password="marked-s3cret#?@")
    async with watched("postgresql", uri=uri) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.AUTH)


async def test_database_that_does_not_exist(postgresql_server: postgresql.PostgreSQL) -> None:
    """The server is fine; what was configured is not."""
    async with watched("postgresql", uri=postgresql_server.dsn_for("nowhere")) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)


async def test_database_closed_to_the_role(postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str) -> None:
    """A role that may log in but not here."""
    name = urlsplit(postgresql_dsn).path[1:]
    await postgresql_server.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC, {name}")
    async with watched("postgresql", uri=postgresql_dsn) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.PERMISSION)


async def test_words_of_an_application(postgresql_dsn: str) -> None:
    """Prisma's, node-postgres', libpq's own that the driver has not: none of them makes a database ill."""
    for query in (
        "schema=public&pgbouncer=true&connection_limit=1&pool_timeout=30",
        "connect_timeout=10&channel_binding=prefer&application_name=x&keepalives=1",
        "ssl=false&sslmode=prefer&uselibpqcompat=true",
        "schema=nowhere&currentSchema=nowhere&prepareThreshold=0&nonsense",
    ):
        async with watched("postgresql", uri=f"{postgresql_dsn}?{query}") as check:
            await check.finds(Status.HEALTHY)


async def test_an_authority_that_is_not_there(postgresql_dsn: str) -> None:
    """The file is named: the database is not to blame."""
    uri = f"{postgresql_dsn}?sslmode=verify-full&sslrootcert=/nowhere.pem"
    async with watched("postgresql", uri=uri) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        assert result.message == "sslrootcert: the file /nowhere.pem does not exist"


async def test_tls_demanded_of_a_server_without(postgresql_dsn: str) -> None:
    """`sslmode=require` and a server that does not speak TLS."""
    async with watched("postgresql", uri=f"{postgresql_dsn}?sslmode=require") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.TLS)


@pytest.mark.parametrize(
    ("certificate", "kind"),
    [
        (tls.Authority.good, None),
        (tls.Authority.expired, FailureKind.EXPIRED),
        (tls.Authority.wrong_host, FailureKind.TLS),
        (lambda _: tls.self_signed(), FailureKind.TLS),
    ],
)
async def test_certificates(
    small_server: postgresql.PostgreSQL,
    small_dsn: str,
    authority: tls.Authority,
    certificate: Callable[[tls.Authority], tls.Certificate],
    kind: FailureKind | None,
) -> None:
    """The URI's TLS options count: a certificate that does not verify is red, and an expired one says so."""
    for path in certificate(authority).save(small_server.data):
        path.chmod(0o600)
        os.chown(path, small_server.data.stat().st_uid, -1)
    for setting in ("ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"):
        await small_server.execute(f"ALTER SYSTEM SET {setting}")
    await small_server.execute("SELECT pg_reload_conf()")
    uri = f"{small_dsn}?sslmode=verify-full&sslrootcert={authority.trust}"

    async def found() -> bool:
        async with watched("postgresql", uri=uri) as check:
            return (await check.look()).kind is kind

    await until(found, "the certificate is judged")


async def test_too_many_clients(small_server: postgresql.PostgreSQL, small_dsn: str) -> None:
    """Nobody else gets in: red for a check that must connect, and for one that still holds its connection."""
    async with watched("postgresql", uri=small_dsn) as old, watched("postgresql", uri=small_dsn) as new:
        await old.finds(Status.HEALTHY)
        async with small_server.exhausted(small_dsn):
            await new.finds(Status.UNHEALTHY, FailureKind.EXHAUSTED)
            full = await old.finds(Status.UNHEALTHY, FailureKind.EXHAUSTED)
            assert full.observed["connectionsUsedPercent"] == 100.0
        await until(lambda: _frees_up(small_server), "the sessions end")
        await new.finds(Status.HEALTHY)


async def _frees_up(server: postgresql.PostgreSQL) -> bool:
    busy = await server.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    return int(str(busy)) < 6


async def test_connections_running_short(small_dsn: str) -> None:
    """A limit below the last connection is a warning."""
    limits = {"degraded": "1%", "unhealthy": "90%"}
    async with watched("postgresql", uri=small_dsn, connections=limits) as check:
        await check.finds(Status.DEGRADED, FailureKind.EXHAUSTED)


async def test_read_only_primary(postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str) -> None:
    """A primary that was switched to read-only takes no writes; whoever only reads may say so."""
    name = urlsplit(postgresql_dsn).path[1:]
    await postgresql_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with watched("postgresql", uri=postgresql_dsn) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.READ_ONLY)
        await postgresql_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        await check.finds(Status.HEALTHY)
    async with watched("postgresql", uri=postgresql_dsn, require="replica") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)


async def test_standby(standby: postgresql.Standby, small_dsn: str) -> None:
    """In step with its primary it is a healthy replica, without any grant, and never a primary."""
    uri = small_dsn.replace(str(urlsplit(small_dsn).port), str(standby.port))
    async with watched("postgresql", uri=standby.dsn) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.NOT_PRIMARY)
    async with watched("postgresql", uri=uri, require="replica") as check:
        # The role comes to the standby with the replication.
        await until(lambda: _is_up(check), "the standby has caught up")
        result = await check.finds(Status.HEALTHY)
        assert (result.observed["role"], result.observed["lagSeconds"]) == ("replica", 0.0)
    async with watched("postgresql", uri=standby.dsn, require="any") as check:
        await check.finds(Status.HEALTHY)


async def _is_up(check: Watched) -> bool:
    return (await check.look()).status is Status.HEALTHY


async def _is_behind(check: Watched) -> bool:
    return (await check.look()).status is not Status.HEALTHY


async def test_standby_whose_receiver_died(small_server: postgresql.PostgreSQL, standby: postgresql.Standby) -> None:
    """Everything that was received is replayed, and still it falls behind: first a warning, then red."""
    await small_server.execute("CREATE TABLE IF NOT EXISTS moving (at timestamptz)")
    async with (
        watched("postgresql", uri=standby.dsn, require="replica", max_lag="1h") as patient,
        watched("postgresql", uri=standby.dsn, require="replica", max_lag="100ms") as strict,
    ):
        await until(lambda: _is_up(patient), "the standby has caught up")
        await standby.cut_off()
        try:
            result = await patient.finds(Status.DEGRADED, FailureKind.LAGGING)
            assert "no WAL receiver" in result.message
            await asyncio.sleep(0.1)
            result = await strict.finds(Status.UNHEALTHY, FailureKind.LAGGING)
            assert float(str(result.observed["lagSeconds"])) > 0.1
        finally:
            await standby.reattach()
        await until(lambda: _is_up(strict), "the standby has caught up again")


async def test_canary(postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str) -> None:
    """A row is written at each probe, one in all; without its table, or where it cannot be committed, it is red."""
    database = urlsplit(postgresql_dsn).path[1:]
    async with watched("postgresql", uri=postgresql_dsn, canary="public.canary", timeout="10s") as check:
        result = await check.look()
        assert (result.status, '"public.canary" does not exist' in result.message) == (Status.UNHEALTHY, True)
        await postgresql_server.execute("CREATE TABLE canary (id text PRIMARY KEY, at timestamptz)", database)
        await postgresql_server.execute("GRANT ALL ON canary TO public", database)
        for _ in range(2):
            await check.finds(Status.HEALTHY)
        await postgresql_server.execute("ALTER TABLE canary ADD CHECK (at < '2000-01-01') NOT VALID", database)
        result = await check.look()
        assert (result.status, "the canary fails" in result.message) == (Status.UNHEALTHY, True)


async def test_standby_that_was_restarted_in_a_quiet_night() -> None:
    """Its receiver begins at a segment's start, behind what is replayed, and nobody writes: it is in step all the same.
    When its primary dies it falls behind from then on, not from the last transaction on."""
    with postgresql.primary({"autovacuum": "off"}) as server:
        await server.execute("CREATE TABLE quiet (at timestamptz)")
        await _restart_in_a_quiet_night(server)


async def _restart_in_a_quiet_night(server: postgresql.PostgreSQL) -> None:
    async with postgresql.standby(server) as standby:
        for node in (server, standby):
            await node.execute("CHECKPOINT")
        await asyncio.sleep(1)
        async with watched("postgresql", uri=standby.dsn, require="replica", max_lag="2s") as check:
            await until(lambda: _is_up(check), "the standby has caught up")
            await asyncio.to_thread(standby.stop)
            await asyncio.to_thread(standby.start)
            await asyncio.sleep(2.5)
            await until(lambda: _is_up(check), "it is in step though nobody writes")
            assert (await check.look()).observed["lagSeconds"] == 0.0
            await standby.cut_off()
            await check.finds(Status.DEGRADED, FailureKind.LAGGING)


async def test_standby_whose_replay_is_paused(small_server: postgresql.PostgreSQL, standby: postgresql.Standby) -> None:
    """Received and not replayed is behind, and the message says why."""
    async with watched("postgresql", uri=standby.dsn, require="replica", max_lag="50ms") as check:
        await standby.execute("SELECT pg_wal_replay_pause()")
        try:
            await small_server.execute("CREATE TABLE IF NOT EXISTS paused (at timestamptz)")
            await small_server.execute("INSERT INTO paused VALUES (now())")
            await until(lambda: _is_behind(check), "the standby has received what it does not replay")
            result = await check.finds(Status.UNHEALTHY, FailureKind.LAGGING)
            assert "replay is paused" in result.message
        finally:
            await standby.execute("SELECT pg_wal_replay_resume()")


async def test_stopped_and_started_again() -> None:
    """A server that ends says connect at once; when it is back, so is the check, without a restart."""
    with postgresql.primary() as server:
        async with watched("postgresql", uri=server.dsn) as check:
            await check.finds(Status.HEALTHY)
            server.stop()
            await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
            server.start()
            await check.finds(Status.HEALTHY)


async def test_paused_server(small_server: postgresql.PostgreSQL, small_dsn: str) -> None:
    """SIGSTOP, both with a connection and without one: no answer in time, nothing left behind, then recovery."""
    async with watched("postgresql", uri=small_dsn, timeout="3s") as check:
        await check.finds(Status.HEALTHY)
        sockets = len(psutil.Process().net_connections())
        small_server.pause()
        try:
            for _ in range(2):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert len(psutil.Process().net_connections()) < sockets + 1
        finally:
            small_server.resume()
        await until(lambda: _is_up(check), "the server answers again")


@pytest.mark.parametrize("hole", [tcp.silent, tcp.unconnectable])
async def test_black_hole(hole: Callable[[], AbstractContextManager[tcp.Listener]]) -> None:
    """Packets vanish after connecting, or before."""
    with hole() as listener:
        uri = f"postgresql://watcher:marked-s3cret@{listener.host}:{listener.port}/app"
        async with watched("postgresql", uri=uri, timeout="300ms") as check:
            for _ in range(3):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
        assert len(asyncio.all_tasks()) == 1


async def test_connection_lost_in_mid_query(postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str) -> None:
    """A path that resets connections."""
    dsn = urlsplit(postgresql_dsn)
    async with tcp.proxy(postgresql_server.port) as proxy:
        uri = dsn._replace(netloc=f"{dsn.username}:{dsn.password}@{proxy.host}:{proxy.port}").geturl()
        async with watched("postgresql", uri=uri) as check:
            await check.finds(Status.HEALTHY)
            await proxy.refuse()
            await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
            await proxy.pass_through()
            await check.finds(Status.HEALTHY)
            proxy.reset_after(600)
            await proxy.reset()
            await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)


async def test_a_connection_that_a_firewall_forgot(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str
) -> None:
    """Its silence is not the server's: half of the time is for it, and the rest for a new one in the same probe."""
    dsn = urlsplit(postgresql_dsn)
    async with tcp.proxy(postgresql_server.port) as proxy:
        uri = dsn._replace(netloc=f"{dsn.username}:{dsn.password}@{proxy.host}:{proxy.port}").geturl()
        async with watched("postgresql", uri=uri, timeout="3s") as check:
            await check.finds(Status.HEALTHY)
            proxy.forget()
            await check.finds(Status.HEALTHY)
            assert proxy.accepted > 1  # not two: a client of another run may have had this port


async def test_peer_that_speaks_something_else(peer: peers.Peer) -> None:
    """An HTTP server on PostgreSQL's port is no PostgreSQL."""
    uri = f"postgresql://watcher:marked-s3cret@{peer.host}:{peer.port}/app?sslmode=disable"
    async with watched("postgresql", uri=uri, timeout="500ms") as check:
        result = await check.look()
        assert result.status is Status.UNHEALTHY
        assert result.kind in (FailureKind.CONNECT, FailureKind.UNEXPECTED_RESPONSE, FailureKind.TIMEOUT)


async def test_standby_that_was_restarted_while_nobody_writes() -> None:
    """What it received then counts from the start of a segment again, and it is in step all the same."""
    with postgresql.primary({"autovacuum": "off"}) as source:
        async with postgresql.standby(source) as restarted:
            await source.execute("CREATE TABLE kept (at timestamptz)")
            await source.execute("CHECKPOINT")
            async with watched("postgresql", uri=restarted.dsn, require="replica") as check:
                await until(lambda: _is_up(check), "the standby has caught up")
            await restarted.execute("CHECKPOINT")
            await asyncio.to_thread(restarted.process.stop)
            await asyncio.to_thread(restarted.process.start)
            await until(restarted.streams, "the standby streams again")
            received = "SELECT pg_last_wal_receive_lsn() < pg_last_wal_replay_lsn()"
            assert await restarted.execute(received), "else this would prove nothing"
            async with watched("postgresql", uri=restarted.dsn, require="replica") as check:
                result = await check.finds(Status.HEALTHY)
                assert result.observed["lagSeconds"] == 0.0


async def test_another_program_that_begins_to_speak() -> None:
    """Where the address demands no TLS nothing is said of TLS."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()

    server = await asyncio.start_server(greet, HOST, free_port())
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with watched("postgresql", uri=f"postgresql://u:secret@{HOST}:{port}/db") as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
            assert "not PostgreSQL" in result.message
        async with watched("postgresql", uri=f"postgresql://u:secret@{HOST}:{port}/db?sslmode=require") as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TLS)
