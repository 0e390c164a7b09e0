"""Migrations over MongoDB's protocol: commands, batches, the lock, and what the check says of the history."""

import asyncio
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from healthd.model import FailureKind
from healthd.model import Status as Health
from healthd_deploy.migrate.history import HeldError, Status
from healthd_deploy.migrate.run import MigrationFailedError, NotUndoneError
from healthd_deploy.migrate.work import NeedsPersonError
from tests.integration.deploy.migrate.migrating import Bench
from tests.integration.healthd.checks.probing import watched
from tests.servers import mongodb
from tests.servers.waiting import until

SLUGS = """\
prepare:
  - {createIndexes: courses, indexes: [{key: {slug: 1}, name: slug_1}]}
batches:
  - collection: courses
    where: {slug: {$exists: false}}
    update: [{$set: {slug: {$toLower: $title}, touched: {$add: [{$ifNull: [$touched, 0]}, 1]}}}]
validate:
  - {collection: courses, where: {slug: {$exists: false}}}
down:
  - {update: courses, updates: [{q: {}, u: {$unset: {slug: 1, touched: 1}}, multi: true}]}
"""
NAME = "0001_slugs"
ROWS = 300
LEASE = "2s"


@pytest.fixture
def uri(mongodb_uri: str) -> str:
    """A database of the test's own."""
    base, _, options = mongodb_uri.partition("?")
    return f"{base}test_{uuid.uuid4().hex}?{options}"


@pytest.fixture
def database(uri: str) -> Iterator[Database[dict[str, Any]]]:
    with pymongo.MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        database["courses"].insert_many([{"_id": n, "title": f"Course {n}"} for n in range(ROWS)])
        yield database
        client.drop_database(database.name)


@pytest.fixture
def bench(uri: str, tmp_path: Path, database: object) -> Bench:
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Bench(folder, {"mongodb": {"uri": uri, "lease_duration": LEASE}})


def all_once(database: Database[dict[str, Any]]) -> bool:
    return database["courses"].count_documents({"touched": {"$ne": 1}}) == 0


def done(database: Database[dict[str, Any]]) -> int:
    return sum(found["rows"] for found in database["migration_history_progress"].find())


async def test_what_the_runner_writes_is_what_the_check_reads(bench: Bench, uri: str) -> None:
    """Applied: green; pending, changed and failed: the check says each, of the same files and history."""
    file = bench.write(f"{NAME}.yaml", SLUGS)
    async with watched("migrations", mongodb={"uri": uri, "directory": bench.folder}) as check:
        assert await bench.up() == 1
        assert (await check.finds(Health.HEALTHY)).observed["applied"] == 1
        broken = bench.write("0002_broken.yaml", "up: [{no_such_command: 1}]\ndown: [{ping: 1}]\n")
        await check.finds(Health.UNHEALTHY, FailureKind.LAGGING)
        with pytest.raises(MigrationFailedError, match=r"0002_broken\.yaml: up\.0: .*no_such_command.*is undone"):
            await bench.up()
        assert (await check.finds(Health.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)).message == "failed: 0002_broken"
        broken.write_text("up: [{ping: 1}]\n")
        assert await bench.up() == 1
        await check.finds(Health.HEALTHY)
        file.write_text(SLUGS + "# later\n")
        assert (await check.finds(Health.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)).observed["changed"]


async def test_every_document_once(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """Keys of several types too, which the server never compares with each other."""
    database["courses"].insert_many([{"_id": f"text {n}", "title": "A"} for n in range(25)])
    bench.write(f"{NAME}.yaml", SLUGS)
    assert sorted(await asyncio.gather(bench.up(), bench.up())) == [0, 1]
    assert all_once(database)
    row = (await bench.rows())[NAME]
    assert (row.status, row.progress) == (Status.COMPLETED, None)
    assert await bench.down(NAME) == [NAME]
    assert database["courses"].count_documents({"slug": {"$exists": True}}) == 0


async def test_on_a_server_without_transactions(tmp_path: Path) -> None:
    """The same, with the fence before each batch instead of within it."""
    with mongodb.standalone() as server:
        uri = server.uri.replace("/?", "/alone?")
        with pymongo.MongoClient[dict[str, Any]](uri) as client:
            database = client.get_default_database()
            database["courses"].insert_many([{"_id": n, "title": f"Course {n}"} for n in range(30)])
            bench = Bench(tmp_path, {"mongodb": {"uri": uri, "lease_duration": LEASE}})
            bench.write(f"{NAME}.yaml", SLUGS)
            assert await bench.up() == 1
            assert all_once(database)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_ended_in_the_middle_of_the_batches(
    bench: Bench, database: Database[dict[str, Any]], how: signal.Signals
) -> None:
    """The next run takes the lock over, goes on after the last batch, and does no document twice."""
    bench.write(f"{NAME}.yaml", SLUGS)
    with bench.running("up", batches={"size": 5, "pause": "50ms"}) as runner:
        await until(lambda: done(database) > 0, "the batches are under way")
        runner.send_signal(how)
        await asyncio.to_thread(runner.wait, 30)
    assert 0 < done(database) < ROWS
    assert await bench.up() == 1
    assert all_once(database)


async def test_frozen_for_longer_than_its_lease(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """Another runner takes over; the frozen one wakes up, cannot pass the fence, and changes nothing more."""
    bench.write(f"{NAME}.yaml", SLUGS)
    with bench.running("up", batches={"size": 5, "pause": "50ms"}) as runner:
        await until(lambda: done(database) > 0, "the batches are under way")
        runner.send_signal(signal.SIGSTOP)
        assert await bench.up() == 1
        runner.send_signal(signal.SIGCONT)
        _, err = await asyncio.to_thread(runner.communicate, None, 30)
    assert runner.returncode == 1
    assert "the lock was lost" in err
    assert all_once(database)
    assert (await bench.rows())[NAME].status == Status.COMPLETED


async def test_a_runner_that_does_not_wait(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """As soon as the holder has shown a sign of life it says who that is, and begins nothing."""
    bench.write(f"{NAME}.yaml", SLUGS)
    with bench.running("up", batches={"size": 1, "pause": "1s"}) as runner:
        await until(lambda: done(database) > 0, "the batches are under way")
        with pytest.raises(HeldError, match=f"process {runner.pid} is at work"):
            await bench.up(lock_wait="0s")


async def test_killed_within_a_transaction(bench: Bench, uri: str, database: Database[dict[str, Any]]) -> None:
    """What its transaction held is freed together with its lock, and nothing of it is committed."""
    bench.write(f"{NAME}.yaml", SLUGS)
    with pymongo.MongoClient[dict[str, Any]](uri) as killed, killed.start_session() as session:
        lock = database["migration_history_lock"]
        lock.insert_one({"_id": "lock", "token": 7, "beats": 3, "holder": "killed", "session": session.session_id})
        lock.insert_one({"_id": "fence", "token": 7})
        session.start_transaction()
        its = killed[database.name]
        its["migration_history_lock"].update_one({"_id": "fence"}, {"$inc": {"passed": 1}}, session=session)
        its["courses"].update_one({"_id": 1}, {"$set": {"slug": "stale", "touched": 9}}, session=session)
        assert await bench.up() == 1
        with pytest.raises(pymongo.errors.OperationFailure):
            session.commit_transaction()
    assert all_once(database)


async def test_killed_between_two_commands(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """`down` clears away what may be left, and all is applied once more from the start."""
    inserts = "".join(f"  - {{insert: marks, documents: [{{_id: {n}}}]}}\n" for n in range(80))
    bench.write("0001_marks.yaml", f"up:\n{inserts}down:\n  - {{delete: marks, deletes: [{{q: {{}}, limit: 0}}]}}\n")
    with bench.running("up") as runner:
        await until(lambda: database["marks"].count_documents({}) > 3, "commands are under way")
        runner.kill()
    assert (await bench.rows())["0001_marks"].status == Status.RUNNING
    assert await bench.up() == 1
    assert database["marks"].count_documents({}) == 80


async def test_failing_commands(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """A refused document is a failure although the server says ok; with `down` it is undone, without a person looks."""
    up = "up:\n  - {create: marks}\n  - {insert: marks, documents: [{_id: 1}, {_id: 1}]}\n"
    file = bench.write("0001_marks.yaml", f"{up}down:\n  - {{drop: marks}}\n")
    with pytest.raises(MigrationFailedError, match=r"up\.1: E11000.*0001_marks is undone"):
        await bench.up()
    assert "marks" not in database.list_collection_names()
    assert (await bench.rows())["0001_marks"].status == Status.FAILED
    file.write_text(up)
    with pytest.raises(NotUndoneError, match="no `down`"):
        await bench.up()
    with pytest.raises(NeedsPersonError, match="resolve 0001_marks"):
        await bench.up()
    await bench.resolve("0001_marks", Status.COMPLETED)
    assert await bench.up() == 0


async def test_an_update_that_leaves_documents_undone(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """It would go on for ever: it fails at its first batch, which is not committed."""
    bench.write(f"{NAME}.yaml", SLUGS.replace("update: [{$set: {slug: {$toLower: $title}, ", "update: [{$set: {"))
    with pytest.raises(MigrationFailedError, match="`where` still finds 10 of 10 documents"):
        await bench.up()
    assert database["courses"].count_documents({"touched": {"$exists": True}}) == 0


async def test_a_dry_run_changes_nothing(bench: Bench, database: Database[dict[str, Any]]) -> None:
    """It prints what would be run; no collection is created."""
    bench.write(f"{NAME}.yaml", SLUGS)
    before = database.list_collection_names()
    done = bench.run("up", "--dry-run")
    assert done.returncode == 0
    assert '"createIndexes": "courses"' in done.stdout
    assert bench.run("check").returncode == 2
    assert database.list_collection_names() == before
