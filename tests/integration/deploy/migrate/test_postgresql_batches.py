"""The zero-downtime form on a real PostgreSQL: every row done once, whatever happens on the way."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from healthd.runtime.clock import SystemClock
from healthd_deploy.core.exit import INTERRUPTED
from healthd_deploy.migrate.history import Status
from healthd_deploy.migrate.run import MigrationFailedError, OutOfTimeError
from healthd_deploy.migrate.stop import Stop
from healthd_deploy.migrate.work import NeedsPersonError
from tests.integration.deploy.migrate.migrating import Bench
from tests.servers.waiting import until

PREPARE = "-- migrate: prepare\nALTER TABLE users ADD COLUMN lowered text, ADD COLUMN touched int NOT NULL DEFAULT 0;\n"
BATCHES = (
    "-- migrate: batches of users by id where lowered IS NULL\n"
    "UPDATE users SET lowered = lower(email), touched = touched + 1 WHERE id = ANY($1);\n"
)
VALIDATE = "-- migrate: validate\nSELECT id FROM users WHERE lowered IS NULL;\n"
DOWN = "-- migrate: down\nALTER TABLE users DROP COLUMN lowered, DROP COLUMN touched;\n"
NAME = "0001_lower"
ROWS = 500


@pytest.fixture
async def database(postgresql_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgresql_dsn)
    await connection.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL)")
    await connection.execute(f"INSERT INTO users SELECT n * 10, 'User' || n FROM generate_series(1, {ROWS}) AS n")
    yield connection
    connection.terminate()


@pytest.fixture
def bench(postgresql_dsn: str, tmp_path: Path, database: object) -> Bench:
    folder = tmp_path / "migrations"
    folder.mkdir()
    bench = Bench(folder, {"postgresql": {"uri": postgresql_dsn, "lock_timeout": "30s"}})
    bench.write(f"{NAME}.sql", PREPARE + BATCHES + VALIDATE + DOWN)
    return bench


async def all_once(database: asyncpg.Connection) -> bool:
    row = await database.fetchrow(
        "SELECT min(touched) AS least, max(touched) AS most, count(*) FILTER (WHERE lowered IS NULL) AS left FROM users"
    )
    assert row is not None
    return (row["least"], row["most"], row["left"]) == (1, 1, 0)


async def done(database: asyncpg.Connection) -> int:
    if await database.fetchval("SELECT to_regclass('migration_history_progress') IS NULL"):
        return 0
    return int(await database.fetchval("SELECT COALESCE(sum(rows_done), 0) FROM migration_history_progress"))


async def test_every_row_once(bench: Bench, database: asyncpg.Connection) -> None:
    """All phases in order, then no progress is left."""
    assert await bench.up() == 1
    assert await all_once(database)
    row = (await bench.rows())[NAME]
    assert (row.status, row.progress) == (Status.COMPLETED, None)


async def test_inserts_and_deletes_meanwhile(bench: Bench, database: asyncpg.Connection, postgresql_dsn: str) -> None:
    """Nothing is skipped: not what comes below the last key, nor what a transaction that was open all along commits."""
    await database.execute("ALTER TABLE users ADD COLUMN lowered text, ADD COLUMN touched int NOT NULL DEFAULT 0")
    bench.write(f"{NAME}.sql", BATCHES + VALIDATE)
    late, blocker = await asyncpg.connect(postgresql_dsn), await asyncpg.connect(postgresql_dsn)
    await late.execute("BEGIN; INSERT INTO users VALUES (1, 'LATE')")
    await blocker.execute(f"BEGIN; SELECT FROM users WHERE id = {ROWS * 10} FOR UPDATE")
    running = asyncio.create_task(bench.up())
    await until(lambda: _begun(database), "the batches are under way")
    chance = random.Random(7)
    for number in range(150):
        await database.execute(
            "INSERT INTO users VALUES ($1, 'NEW') ON CONFLICT DO NOTHING", chance.randrange(11, ROWS * 10 - 1)
        )
        await database.execute("DELETE FROM users WHERE id = $1", 10 * chance.randrange(1, ROWS))
        if number == 100:
            await late.execute("COMMIT")
    await blocker.execute("COMMIT")
    assert await running == 1
    assert await all_once(database)
    assert await database.fetchval("SELECT lowered FROM users WHERE id = 1") == "late"
    late.terminate()
    blocker.terminate()


async def _begun(database: asyncpg.Connection) -> bool:
    return await done(database) > 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_ended_in_the_middle_of_the_batches(
    bench: Bench, database: asyncpg.Connection, how: signal.Signals
) -> None:
    """Killed, or asked to stop: the next run goes on after the last batch, and no row is skipped or done twice."""
    with bench.running("up", batches={"size": 5, "pause": "20ms"}) as runner:
        await until(lambda: _begun(database), "the batches are under way")
        runner.send_signal(how)
        _, err = await asyncio.to_thread(runner.communicate, None, 30)
    assert 0 < await done(database) < ROWS
    if how is not signal.SIGKILL:
        assert runner.returncode == INTERRUPTED, err
        assert "`up` goes on from there" in err
        assert (await bench.rows())[NAME].status == Status.STOPPED
    assert await bench.up() == 1
    assert await all_once(database)


async def test_out_of_time(bench: Bench, database: asyncpg.Connection) -> None:
    """The limit stops it between two batches, and it goes on from there."""
    stop = Stop(SystemClock(), 60.0)
    running = asyncio.create_task(bench.up(stop=stop, batches={"size": 5, "pause": "20ms"}))
    await until(lambda: _begun(database), "the batches are under way")
    stop._end = 0.0
    with pytest.raises(OutOfTimeError, match="the time limit is reached"):
        await running
    assert 0 < await done(database) < ROWS
    assert await bench.up() == 1
    assert await all_once(database)


async def test_a_batch_that_fails(bench: Bench, database: asyncpg.Connection) -> None:
    """With `down` all of it is undone; without, what is done stands, and it goes on once the cause is gone."""
    broken = BATCHES.replace("touched + 1", "touched + 1 / (id <> 3000)::int")
    bench.write(f"{NAME}.sql", PREPARE + broken + DOWN)
    with pytest.raises(MigrationFailedError, match=r"0001_lower\.sql:3: division by zero; 0001_lower is undone"):
        await bench.up()
    assert (
        await database.fetchval("SELECT count(*) FROM pg_attribute WHERE attname = 'lowered' AND NOT attisdropped") == 0
    )
    bench.write(f"{NAME}.sql", PREPARE + broken)
    with pytest.raises(MigrationFailedError, match="1 steps and 290 rows stand"):
        await bench.up()
    await database.execute("DELETE FROM users WHERE id = 3000")
    assert await bench.up() == 1
    assert await all_once(database)


async def test_a_file_that_changes_while_it_is_half_done(bench: Bench, database: asyncpg.Connection) -> None:
    """It is refused; `down` undoes what was done by the file as it was."""
    stop = Stop(SystemClock(), 60.0)
    running = asyncio.create_task(bench.up(stop=stop, batches={"size": 5, "pause": "20ms"}))
    await until(lambda: _begun(database), "the batches are under way")
    stop.interrupt()
    await asyncio.wait({running})
    assert running.exception() is not None
    bench.write(f"{NAME}.sql", PREPARE + BATCHES + VALIDATE + DOWN + "-- other\n")
    with pytest.raises(NeedsPersonError, match="while it is half done"):
        await bench.up()
    await bench.down(NAME)
    assert await bench.up() == 1


async def test_a_statement_that_leaves_rows_undone(bench: Bench) -> None:
    """It would go on for ever: it fails at its first batch, which is not committed."""
    bench.write(f"{NAME}.sql", PREPARE + BATCHES.replace("lower(email)", "NULLIF(lower(email), 'user3')") + DOWN)
    with pytest.raises(MigrationFailedError, match=r"`where` still holds for 1 of 10 rows"):
        await bench.up()


async def test_a_key_that_does_not_identify_a_row(bench: Bench) -> None:
    """It is refused, since rows would be skipped."""
    bench.write(f"{NAME}.sql", PREPARE + BATCHES.replace("by id", "by email") + DOWN)
    with pytest.raises(MigrationFailedError, match="take a column that is NOT NULL"):
        await bench.up()


async def test_a_validation_that_finds_something(bench: Bench, database: asyncpg.Connection) -> None:
    """The migration is undone."""
    bench.write(
        f"{NAME}.sql", PREPARE + BATCHES + "-- migrate: validate\nSELECT 1 FROM users WHERE lowered = 'user7';\n" + DOWN
    )
    with pytest.raises(MigrationFailedError, match=r"the validation finds a row.*is undone"):
        await bench.up()
    assert (await bench.rows())[NAME].status == Status.FAILED


@pytest.mark.parametrize("kind", ["uuid", "text", "timestamptz"])
async def test_keys_of_other_types(bench: Bench, database: asyncpg.Connection, kind: str) -> None:
    """A key goes into the progress and comes back as it was."""
    value = {
        "uuid": "gen_random_uuid()",
        "text": "'k' || n || ' ü'''",
        "timestamptz": "now() + n * interval '1 microsecond'",
    }[kind]
    await database.execute(f"DROP TABLE users; CREATE TABLE users (id {kind} PRIMARY KEY, email text)")
    await database.execute(f"INSERT INTO users SELECT {value}, 'U' || n FROM generate_series(1, 95) AS n")
    assert await bench.up() == 1
    assert await all_once(database)


async def test_an_index_and_a_constraint_without_downtime(bench: Bench, database: asyncpg.Connection) -> None:
    """What a transaction cannot do, and a validation that is a statement of its own, work as phases."""
    bench.write(
        f"{NAME}.sql",
        PREPARE
        + "-- migrate: prepare no-transaction\nCREATE INDEX CONCURRENTLY todo ON users (id) WHERE lowered IS NULL;\n"
        + BATCHES
        + "-- migrate: validate\nALTER TABLE users ADD CONSTRAINT has CHECK (lowered IS NOT NULL);\n"
        + "-- migrate: cleanup no-transaction\nDROP INDEX CONCURRENTLY todo;\n"
        + DOWN,
    )
    assert await bench.up() == 1
    assert await all_once(database)
    assert await database.fetchval("SELECT to_regclass('todo') IS NULL")
