"""Migrations of a real PostgreSQL: scripts, their failures, and what the check `migrations` says of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from healthd.model import FailureKind
from healthd.model import Status as Health
from healthd_deploy.migrate.history import HeldError, Status, UnreachableError
from healthd_deploy.migrate.run import MigrationFailedError, NotUndoneError
from healthd_deploy.migrate.work import NeedsPersonError, RefusedError
from tests.integration.deploy.migrate.migrating import Bench
from tests.integration.healthd.checks.probing import watched
from tests.servers import tcp
from tests.servers.waiting import until

USERS = "-- migrate: up\nCREATE TABLE users (id int PRIMARY KEY);\n-- migrate: down\nDROP TABLE users;\n"
BROKEN = "-- migrate: up\nCREATE TABLE half (id int);\nSELECT nothing\nFROM nowhere;\n"
RUNNERS = "FROM pg_stat_activity WHERE application_name LIKE 'healthd-deploy migrate%' AND datname = current_database()"
GATED = "SELECT pg_sleep(600) WHERE to_regclass('go') IS NULL;\n"


@pytest.fixture
def bench(postgresql_dsn: str, tmp_path: Path) -> Bench:
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Bench(folder, {"postgresql": {"uri": postgresql_dsn}})


@pytest.fixture
async def database(postgresql_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgresql_dsn)
    yield connection
    connection.terminate()


async def exists(database: asyncpg.Connection, table: str) -> bool:
    return bool(await database.fetchval("SELECT to_regclass($1) IS NOT NULL", table))


async def sleeps(database: asyncpg.Connection) -> bool:
    return bool(await database.fetchval(f"SELECT count(*) {RUNNERS} AND wait_event = 'PgSleep'") == 1)


async def test_a_silent_host_is_told(tmp_path: Path) -> None:
    """In words, and with the time that was given to it."""
    with tcp.unconnectable() as silent:
        place = {"uri": f"postgresql://app@{silent.host}:{silent.port}/app?sslmode=disable&connect_timeout=2"}
        with pytest.raises(UnreachableError, match="no connection within 2 s: its host is silent, or its name is not"):
            await Bench(tmp_path, {"postgresql": place}).up()


async def test_what_the_runner_writes_is_what_the_check_reads(bench: Bench, postgresql_dsn: str) -> None:
    """Applied: green. Pending, changed, failed, undone: the check says each, of the same files and history."""
    bench.write("0001_users.sql", USERS)
    place = {"uri": postgresql_dsn, "directory": bench.folder, "pattern": "*.sql"}
    async with (
        watched("migrations", postgresql=place) as check,
        watched("migrations", postgresql={"uri": postgresql_dsn}) as bare,
    ):
        assert await bench.up() == 1
        assert (await check.finds(Health.HEALTHY)).observed["applied"] == 1
        broken = bench.write("0002_broken.sql", BROKEN)
        await check.finds(Health.UNHEALTHY, FailureKind.LAGGING)
        with pytest.raises(MigrationFailedError):
            await bench.up()
        assert (await check.finds(Health.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)).message == "failed: 0002_broken"
        broken.unlink()
        bench.write("0002_broken.sql", "-- migrate: up\nSELECT 1;\n-- migrate: down\nSELECT 1;\n")
        assert await bench.up() == 1
        await check.finds(Health.HEALTHY)
        (bench.folder / "0001_users.sql").write_text(USERS + "-- later\n")
        result = await check.finds(Health.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.observed["changed"] == ["0001_users.sql"]
        (bench.folder / "0001_users.sql").write_text(USERS)
        assert await bench.down("0002_broken") == ["0002_broken"]
        await check.finds(Health.UNHEALTHY, FailureKind.LAGGING)
        await bare.finds(Health.HEALTHY)


async def test_the_history_has_the_agreed_columns(bench: Bench, database: asyncpg.Connection) -> None:
    """Name, time, duration, status, rollback script and checksum; a second run does nothing."""
    bench.write("0001_users.sql", USERS)
    assert await bench.up() == 1
    assert await bench.up() == 0
    row = await database.fetchrow("SELECT * FROM migration_history")
    assert row is not None
    assert row["migration_name"] == "0001_users"
    assert row["status"] == "completed"
    assert row["rollback_script"] == "-- migrate: down\nDROP TABLE users;"
    assert len(row["checksum"]) == 64
    assert row["executed_at"]
    assert row["execution_time_ms"] >= 0
    assert await database.fetchval("SELECT count(*) FROM migration_history_progress") == 0


async def test_words_of_an_application(tmp_path: Path, postgresql_dsn: str, database: asyncpg.Connection) -> None:
    """Prisma's are understood: its schema is where the scripts create their tables."""
    await database.execute('CREATE SCHEMA "Shop"')
    uri = f"{postgresql_dsn}?schema=Shop&pgbouncer=true&connection_limit=1&connect_timeout=10"
    bench = Bench(tmp_path, {"postgresql": {"uri": uri}})
    bench.write("001_a.sql", "-- migrate: up\nCREATE TABLE a (id int);\n-- migrate: down\nDROP TABLE a;\n")
    assert await bench.up() == 1
    assert await database.fetchval('SELECT count(*) FROM "Shop".a') == 0


async def test_two_runners_at_once(bench: Bench) -> None:
    """One waits for the other, and each migration is applied once."""
    for number in range(1, 6):
        bench.write(f"000{number}_table.sql", f"-- migrate: up\nCREATE TABLE t{number} (id int);\n")
    assert sorted(await asyncio.gather(bench.up(), bench.up(), bench.up())) == [0, 0, 5]


async def test_a_runner_that_does_not_wait(bench: Bench, database: asyncpg.Connection) -> None:
    """It says who is at work, and begins nothing."""
    bench.write("0001_slow.sql", f"-- migrate: up\n{GATED}")
    with bench.running("up") as other:
        await until(lambda: sleeps(database), "the other one is at work")
        with pytest.raises(HeldError, match=f"healthd-deploy migrate on .*process {other.pid}"):
            await bench.up(lock_wait="0s")


async def test_a_failing_script_leaves_nothing(bench: Bench, database: asyncpg.Connection) -> None:
    """The error names file and line; the transaction takes all back, with or without `down`; it is tried again."""
    file = bench.write("0001_broken.sql", BROKEN)
    with pytest.raises(MigrationFailedError, match=r"0001_broken\.sql:4: .*nowhere.*; nothing of 0001_broken is left"):
        await bench.up()
    assert not await exists(database, "half")
    assert (await bench.rows())["0001_broken"].status == Status.FAILED
    file.write_text(USERS)
    assert await bench.up() == 1


async def test_a_failing_step_outside_a_transaction_is_undone(bench: Bench, database: asyncpg.Connection) -> None:
    """`down` removes what the steps before it, and the step itself, have left."""
    await database.execute("CREATE TABLE pairs (a int); INSERT INTO pairs VALUES (1), (1)")
    script = (
        "-- migrate: up no-transaction\nCREATE INDEX CONCURRENTLY good ON pairs (a);\n"
        "-- migrate: up no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY bad ON pairs (a);\n"
    )
    down = "".join(
        f"-- migrate: down no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS {it};\n" for it in ("bad", "good")
    )
    bench.write("0001_index.sql", script + down)
    with pytest.raises(MigrationFailedError, match="0001_index is undone"):
        await bench.up()
    assert not await exists(database, "good")
    assert not await exists(database, "bad")
    await database.execute("DELETE FROM pairs")
    assert await bench.up() == 1
    assert await exists(database, "bad")


async def test_a_failing_step_without_down_needs_a_person(bench: Bench, database: asyncpg.Connection) -> None:
    """The history says dirty, nothing more is run, and goes on only once somebody says what is there."""
    await database.execute("CREATE TABLE pairs (a int); INSERT INTO pairs VALUES (1), (1)")
    bench.write("0001_index.sql", "-- migrate: up no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY bad ON pairs (a);\n")
    bench.write("0002_users.sql", USERS)
    with pytest.raises(NotUndoneError, match="no `down`"):
        await bench.up()
    with pytest.raises(NeedsPersonError, match="resolve 0001_index"):
        await bench.up()
    assert (await bench.rows())["0001_index"].status == Status.DIRTY
    await database.execute("DROP INDEX bad; DELETE FROM pairs")
    await bench.resolve("0001_index", Status.ROLLED_BACK)
    assert await bench.up() == 2


async def test_a_down_that_fails_too(bench: Bench, database: asyncpg.Connection) -> None:
    """Then nobody knows what is left, and the history says so with both reasons."""
    steps = "-- migrate: prepare\nCREATE TABLE a (id int);\n-- migrate: validate\nSELECT 1;\n"
    bench.write("0001_phases.sql", f"{steps}-- migrate: down\nDROP TABLE nothing_like_it;\n")
    with pytest.raises(NotUndoneError, match=r"finds a row.*nothing_like_it"):
        await bench.up()
    assert (await bench.rows())["0001_phases"].status == Status.DIRTY


async def test_a_changed_file_is_refused(bench: Bench, database: asyncpg.Connection) -> None:
    """Nothing is applied after it until it is put back."""
    file = bench.write("0001_users.sql", USERS)
    assert await bench.up() == 1
    file.write_text(USERS.replace("int", "bigint"))
    bench.write("0002_more.sql", "-- migrate: up\nCREATE TABLE more (id int);\n")
    with pytest.raises(RefusedError, match=r"0001_users\.sql: was changed after it was applied"):
        await bench.up()
    assert not await exists(database, "more")


async def test_a_number_below_one_that_is_applied(bench: Bench) -> None:
    """It is refused, with what to do."""
    bench.write("0005_users.sql", USERS)
    assert await bench.up() == 1
    bench.write("0003_late.sql", "-- migrate: up\nSELECT 1;\n")
    with pytest.raises(RefusedError, match="--out-of-order"):
        await bench.up()


async def test_a_script_that_ends_the_transaction(bench: Bench) -> None:
    """It is caught, since the promise that nothing is left would be false."""
    bench.write("0001_commit.sql", "-- migrate: up\nCREATE TABLE a (id int); COMMIT; BEGIN; CREATE TABLE b (id int);\n")
    with pytest.raises((MigrationFailedError, NotUndoneError), match="ends the transaction itself"):
        await bench.up()


async def test_a_long_transaction_does_not_make_others_queue(
    bench: Bench, database: asyncpg.Connection, postgresql_dsn: str
) -> None:
    """The migration gives up its place in the queue, and comes back until the table is free."""
    await database.execute("CREATE TABLE busy (id int)")
    bench.write("0001_busy.sql", "-- migrate: up lock_timeout=100ms\nALTER TABLE busy ADD COLUMN more int;\n")
    async with database.transaction():
        await database.execute("SELECT * FROM busy")
        with pytest.raises(MigrationFailedError, match="lock_timeout"):
            await bench.up(attempts=1)
        running = asyncio.create_task(bench.up(attempts=10))
        await until(lambda: _blocked(postgresql_dsn), "the migration waits for the table")
    assert await running == 1


async def _blocked(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(
            await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass")
        )
    finally:
        connection.terminate()


async def test_killed_in_the_middle_of_a_script(bench: Bench, database: asyncpg.Connection) -> None:
    """Nothing of it is left; the next run finds out by the lock that its runner is gone, and applies it."""
    bench.write("0001_slow.sql", f"-- migrate: up\nCREATE TABLE half (id int);\n{GATED}")
    with bench.running("up") as runner:
        await until(lambda: sleeps(database), "the script is under way")
        runner.kill()
    await until(lambda: _gone(database), "the server has noticed")
    assert not await exists(database, "half")
    assert (await bench.rows())["0001_slow"].status == Status.RUNNING
    shown = bench.run("status").stdout
    assert "nobody is at work" in shown
    assert "its runner is gone" in shown
    await database.execute("CREATE TABLE go ()")
    assert await bench.up() == 1
    assert await exists(database, "half")


async def _gone(database: asyncpg.Connection) -> bool:
    return bool(await database.fetchval(f"SELECT count(*) {RUNNERS}") == 0)


@pytest.mark.parametrize("with_down", [True, False])
async def test_killed_outside_of_a_transaction(bench: Bench, database: asyncpg.Connection, with_down: bool) -> None:
    """With `down` the next run undoes what may be left, and applies it; without, a person must look."""
    down = "-- migrate: down\nDROP TABLE IF EXISTS half;\n" if with_down else ""
    bench.write(
        "0001_slow.sql",
        f"-- migrate: up no-transaction\nCREATE TABLE half (id int);\n-- migrate: up no-transaction\n{GATED}{down}",
    )
    with bench.running("up") as runner:
        await until(lambda: sleeps(database), "the script is under way")
        runner.kill()
    await database.execute("CREATE TABLE go ()")
    if with_down:
        assert await bench.up() == 1
    else:
        with pytest.raises(NeedsPersonError, match="killed in a step that is no transaction"):
            await bench.up()


async def test_down_uses_what_the_history_has_kept(bench: Bench, database: asyncpg.Connection) -> None:
    """An older release that lacks the file can undo it; later ones are named first."""
    bench.write("0001_users.sql", USERS)
    newer = bench.write(
        "0002_more.sql", "-- migrate: up\nCREATE TABLE more (id int);\n-- migrate: down\nDROP TABLE more;\n"
    )
    assert await bench.up() == 2
    newer.unlink()
    with pytest.raises(RefusedError, match="0002_more"):
        await bench.down("0001_users")
    assert await bench.down("0001_users", and_later=True) == ["0002_more", "0001_users"]
    assert not await exists(database, "users")
    assert {row.status for row in (await bench.rows()).values()} == {Status.ROLLED_BACK}


async def test_a_dry_run_changes_nothing(bench: Bench, database: asyncpg.Connection, postgresql_dsn: str) -> None:
    """It prints what would be run; not even the history is created. No password is printed."""
    bench.write("0001_users.sql", USERS)
    done = bench.run("up", "--dry-run")
    assert done.returncode == 0
    assert "would apply 0001_users" in done.stdout
    assert "CREATE TABLE users" in done.stdout
    assert bench.run("check").returncode == 2
    assert await database.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    assert bench.run("up").stdout == "applied: 1\n"
    assert bench.run("check").returncode == 0
    assert postgresql_dsn.partition("@")[0].rpartition(":")[2] not in done.stdout + done.stderr


async def test_a_history_of_another_tool(bench: Bench, database: asyncpg.Connection) -> None:
    """What it says is applied is applied, under the file's name too; its table is kept as it is."""
    await database.execute(
        "CREATE TABLE migration_history (id serial, migration_name varchar(255) UNIQUE,"
        " executed_at timestamp DEFAULT now(), execution_time_ms integer,"
        " status varchar(20), rollback_script text, checksum varchar(64));"
        "INSERT INTO migration_history (migration_name, status) VALUES ('0001_users.sql', 'SUCCESS')"
    )
    bench.write("0001_users.sql", USERS)
    bench.write("0002_more.sql", "-- migrate: up\nCREATE TABLE more (id int);\n")
    assert await bench.up() == 1
    assert not await exists(database, "users")


async def test_a_database_that_is_lost(bench: Bench, database: asyncpg.Connection) -> None:
    """A run whose connection is cut says that how it ended is not written down; the next one finds out."""
    bench.write("0001_slow.sql", f"-- migrate: up\n{GATED}")
    running = asyncio.create_task(bench.up())
    await until(lambda: sleeps(database), "the script is under way")
    await database.fetch(f"SELECT pg_terminate_backend(pid) {RUNNERS}")
    with pytest.raises(MigrationFailedError, match="not written down"):
        await running
    await database.execute("CREATE TABLE go ()")
    assert await bench.up() == 1
