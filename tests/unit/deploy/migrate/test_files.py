"""Migration files: what a good one becomes, and what is said of every kind of bad one."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson import ObjectId

from healthd_deploy.migrate import document_file, sql_file
from healthd_deploy.migrate.document_file import CommandStep, DocumentBatches
from healthd_deploy.migrate.folder import read_folder
from healthd_deploy.migrate.history import Row
from healthd_deploy.migrate.migration import MalformedError, Migration, Phase
from healthd_deploy.migrate.plan import plan
from healthd_deploy.migrate.sql_file import Script, SQLBatches

PHASES = """\
-- Why this is done.
-- migrate: prepare no-transaction lock_timeout=1s
CREATE INDEX CONCURRENTLY i ON users (id);
-- migrate: batches of public.users by id size=50 pause=1s where a IS NULL AND b = 'x y'
UPDATE users SET a = 1 WHERE id = ANY($1);
-- migrate: validate statement_timeout=5m
SELECT 1 WHERE false;
-- migrate: cleanup
DROP INDEX i;
-- migrate: down no-transaction
DROP INDEX IF EXISTS i;
"""


def sql(text: str) -> Migration:
    return sql_file.read(Path("0001_x.sql"), text, "")


def documents(text: str) -> Migration:
    return document_file.read(Path("0001_x.yaml"), text, "")


def test_phases_in_sql() -> None:
    """Every section is a step with its options; text goes through untouched."""
    migration = sql(PHASES)
    prepare, batches, validate, cleanup = migration.up
    assert isinstance(prepare, Script)
    assert (prepare.atomic, prepare.lock_timeout, prepare.phase) == (False, 1.0, Phase.PREPARE)
    assert isinstance(batches, SQLBatches)
    assert (batches.table, batches.key, batches.size, batches.pause) == ("public.users", "id", 50, 1.0)
    assert batches.where == "a IS NULL AND b = 'x y'"
    assert isinstance(validate, Script)
    assert validate.statement_timeout == 300.0
    assert cleanup.place == "0001_x.sql:8"


def test_a_rollback_script_comes_back_as_it_was() -> None:
    """What the history keeps is read as the same steps; that of another tool is one script in a transaction."""
    (step,) = sql_file.down_steps(sql(PHASES).rollback_script or "")
    assert isinstance(step, Script)
    assert (step.atomic, step.text) == (False, "DROP INDEX IF EXISTS i;")
    (plain,) = sql_file.down_steps("DROP TABLE a;\nDROP TABLE b;")
    assert (plain.atomic, plain.shown) == (True, "DROP TABLE a;\nDROP TABLE b;")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no `-- migrate: up`"),
        ("SELECT 1;", r":1: there is SQL above the first mark"),
        ("SELECT 1;\n-- migrate: up\nSELECT 1;", r":1: there is SQL above the first mark"),
        ("-- migrate: up\n-- only words\n", ":1: `up` has nothing to run"),
        ("-- migrate: upp\nSELECT 1;", ":1: `upp` is no mark"),
        ("-- migrate: down\nSELECT 1;", "has no `-- migrate: up`"),
        ("-- migrate: down\nSELECT 1;\n-- migrate: up\nSELECT 1;", "must come in the order"),
        ("-- migrate: up\nSELECT 1;\n-- migrate: validate\nSELECT 1;", "has both `up` and phases"),
        ("-- migrate: up timeout=1s\nSELECT 1;", "`timeout=1s` is no option"),
        ("-- migrate: up lock_timeout=5\nSELECT 1;", "lock_timeout: '5' is not a duration"),
        ("-- migrate: batches of users\nSELECT $1;", "batches of TABLE by KEY where CONDITION"),
        ("-- migrate: batches of users by id where a\nSELECT 1;", r"WHERE id = ANY\(\$1\)"),
        ("-- migrate: batches of users by id size=0 where a\nSELECT $1;", "size: must be a whole number above 0"),
    ],
)
def test_bad_sql_files(text: str, said: str) -> None:
    """Each is refused with its file, its line where there is one, and the fix."""
    with pytest.raises(MalformedError, match=f"0001_x.sql.*{said}"):
        sql(text)


INDEX = "-- migrate: up no-transaction\nCREATE INDEX CONCURRENTLY a ON t (a);"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- migrate: up\nSELECT 1;\n\\restrict pq7\nSELECT 2;", ":3: `\\restrict` is a command of psql"),
        ("-- migrate: up\n\\set size 10\nSELECT :size;", ":2: `\\set` is a command of psql"),
        (f"{INDEX}\ncreate unique index\n concurrently b ON t (b);", ":1: several statements that each must be alone"),
        ("-- migrate: up no-transaction\nVACUUM a;\nVACUUM b;", "a mark and section of its own"),
        (f"{INDEX}\n{INDEX}", None),
        ("-- migrate: up\nSELECT E'\\\\restrict';", None),
    ],
)
def test_what_could_only_fail_is_told_before_it_is_run(text: str, said: str | None) -> None:
    """And refused by the plan alone: a file that is applied may hold anything, and cannot be changed any more."""
    migration = sql(text)
    assert (said is None) == (migration.unfit is None)
    assert said is None or said in str(migration.unfit)
    assert plan([migration], []).problems == ([migration.unfit] if said else [])
    assert not plan([migration], [Row(migration.name, "completed", migration.checksum)]).problems


def test_commands_of_mongodb() -> None:
    """Commands keep the order of their keys, and Extended JSON becomes BSON's types, in YAML and in JSON."""
    command = '{"insert": "c", "documents": [{"_id": {"$oid": "6b037001272903e5bce2e26a"}}]}'
    (step,) = documents(f'{{\n\t"up": [{command}]\n}}').up
    assert isinstance(step, CommandStep)
    assert list(step.command) == ["insert", "documents"]
    assert step.command["documents"] == [{"_id": ObjectId("6b037001272903e5bce2e26a")}]
    (step,) = documents("up: [{ping: {$date: '2026-01-02T03:04:05Z'}}]").up
    assert isinstance(step, CommandStep)
    assert step.command == {"ping": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}


def test_phases_in_documents() -> None:
    """They come in the order of the phases, whatever that of the file."""
    migration = documents(
        "validate: [{collection: c, where: {a: null}}]\n"
        "batches: [{collection: c, where: {a: null}, delete: true, size: 5}]\n"
        "prepare: [{ping: 1}]\ndown: [{ping: 2}]\n"
    )
    assert [step.phase for step in migration.up] == [Phase.PREPARE, Phase.EXECUTE, Phase.VALIDATE]
    batches = migration.up[1]
    assert isinstance(batches, DocumentBatches)
    assert batches.size == 5
    assert migration.rollback_script == '[{"ping": 2}]'
    assert document_file.down_steps(migration.rollback_script)[0].shown == '{"ping": 2}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a mapping with `up` and `down`"),
        ("up: [", ":1: is neither YAML nor JSON"),
        ("up: [{ping: 1}]\nup: [{ping: 2}]", "is neither YAML nor JSON"),
        ("down: [{ping: 1}]", "has no `up`"),
        ("uP: [{ping: 1}]", "uP: no such key: there are up, down"),
        ("up: {ping: 1}", "up: must be"),
        ("up: [{}]", "up.0: "),
        ("up: [{ping: 1}]\nvalidate: [{collection: c, where: {a: 1}}]", "has both `up` and phases"),
        ("batches: [{collection: c, where: {a: 1}}]", "batches.0: say what to do with a batch"),
        ("batches: [{collection: c, where: {}, delete: true}]", "batches.0.where"),
        ("up: [{ping: 2026-01-01}]", "BSON has no dates without a time"),
    ],
)
def test_bad_document_files(text: str, said: str) -> None:
    """Each is refused with its file, its key, and the fix."""
    with pytest.raises(MalformedError, match=f"0001_x.yaml.*{said}"):
        documents(text)


def test_a_rollback_script_that_is_no_list_of_commands() -> None:
    """It is refused, and nothing of it is run."""
    for script in ("db.courses.drop()", "{}", "[1]"):
        with pytest.raises(MalformedError, match="undo it by hand"):
            document_file.down_steps(script)


def test_a_folder(tmp_path: Path) -> None:
    """Files come by number, not by letter, with their own sha-256; other files are left alone."""
    for name in ("10_b.sql", "9_a.sql", "README.md", ".8_hidden.sql"):
        (tmp_path / name).write_text("-- migrate: up\nSELECT 1;\n")
    found = read_folder(tmp_path, sql_file.SUFFIXES, sql_file.read)
    assert [it.name for it in found] == ["9_a", "10_b"]
    assert found[0].checksum == hashlib.sha256(b"-- migrate: up\nSELECT 1;\n").hexdigest()


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors of Windows write one; the checksum is of the file as it is."""
    content = b"\xef\xbb\xbf-- migrate: up\r\nSELECT 1;\r\n"
    (tmp_path / "1_a.sql").write_bytes(content)
    (found,) = read_folder(tmp_path, sql_file.SUFFIXES, sql_file.read)
    assert [step.shown for step in found.up] == ["SELECT 1;"]
    assert found.checksum == hashlib.sha256(content).hexdigest()


def test_a_bad_folder(tmp_path: Path) -> None:
    """All that is wrong is said at once."""
    for name in ("users.sql", "0001_a.sql", "01_b.sql"):
        (tmp_path / name).write_text("-- migrate: up\nSELECT 1;\n")
    (tmp_path / "0002_c.sql").write_bytes(b"\xff")
    with pytest.raises(MalformedError) as refused:
        read_folder(tmp_path, sql_file.SUFFIXES, sql_file.read)
    said = str(refused.value)
    assert "users.sql: name it by its number" in said
    assert "01_b.sql: has the number of 0001_a.sql" in said
    assert "0002_c.sql: is not UTF-8 text" in said
    with pytest.raises(MalformedError, match="cannot be read as a folder"):
        read_folder(tmp_path / "none", sql_file.SUFFIXES, sql_file.read)
