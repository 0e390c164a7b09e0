"""Backups: there when they are whole, and no password where others can read it."""

import gzip
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host import dumps
from healthd_deploy.host.backup import Backups
from healthd_deploy.host.settings import HostConfig, MongodbDump, PostgresqlDump

_URI = "mongodb://app:s3cret-word@127.0.0.1:1/shop?replicaSet=rs0"
# In the form of mongodump: its configuration by name, its archive's first bytes. What it got is written down.
_MONGODUMP = """#!/usr/bin/env python3
import gzip, json, sys
options = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
with open(options["config"]) as config:
    uri = json.loads(config.read())["uri"]
print(json.dumps({"argv": sys.argv[1:], "uri": uri}), file=open(__file__ + ".got", "w"))
with gzip.open(options["archive"], "wb") as archive:
    archive.write(bytes.fromhex("BEGIN") + b"the rest")
"""


def config(home: Path, **backup: Any) -> HostConfig:
    return HostConfig.model_validate(
        {
            "service": "api",
            "home": str(home),
            "source": {"archive": "/srv/api-$version.tar.gz"},
            "pm2": {"app": "api", "ecosystem": "/srv/ecosystem.config.js"},
            "health": {"url": "http://127.0.0.1:3000/health"},
            "backup": backup,
        }
    )


def mongodump(folder: Path, begin: str = "6de29981") -> Path:
    program = folder / "mongodump"
    program.write_text(_MONGODUMP.replace("BEGIN", begin))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def application(folder: Path) -> tuple[str, Path]:
    release = folder / "releases" / "1.0"
    (release / "node_modules" / "x").mkdir(parents=True)
    (release / "server.js").write_text("x")
    return "1.0", release


@pytest.mark.parametrize(
    ("uri", "told", "password"),
    [
        ("postgresql://app:s3%40cret@db:5433/shop", "postgresql://app@db:5433/shop", "s3@cret"),
        ("postgresql://app@db/shop?sslmode=require", "postgresql://app@db/shop?sslmode=require", None),
        ("postgresql://db/shop?user=app&password=s3cret", "postgresql://db/shop?user=app", "s3cret"),
        ("postgresql://app:old@db/shop?password=s3cret", "postgresql://app@db/shop", "s3cret"),
        ("postgresql://app:a@b@one:1,two:2/shop", "postgresql://app@one:1,two:2/shop", "a@b"),
    ],
)
def test_a_uri_without_its_password(uri: str, told: str, password: str | None) -> None:
    """Wherever in the URI it stands, and whatever else does."""
    assert dumps.without_password(uri) == (told, password)


async def test_the_application_is_kept(tmp_path: Path) -> None:
    """Without what npm brings back; readable by its owner alone."""
    backups = Backups(config(tmp_path))
    await backups.take("run-1", "1.1", application(tmp_path))
    ((folder, taken),) = backups.listed()
    assert (taken.key, taken.before, taken.application) == ("run-1", "1.1", "1.0")
    with tarfile.open(folder / "application.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["1.0", "1.0/server.js"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_one_backup_a_deploy(tmp_path: Path) -> None:
    """Run again with the same key it takes no other: that would be of what the deploy itself has changed."""
    backups = Backups(config(tmp_path))
    first = await backups.take("run-1", "1.1", None)
    assert await backups.take("run-1", "1.1", None) == f"taken already: {first}"
    await backups.take("run-2", "1.1", None)
    assert len(backups.listed()) == 2


async def test_what_is_not_whole_is_no_backup(tmp_path: Path) -> None:
    """Neither what a killed deploy left, which the next removes, nor one with a file cut off."""
    backups = Backups(config(tmp_path))
    left = tmp_path / "backups" / ".partial-1"
    left.mkdir(parents=True)
    await backups.take("run-1", "1.1", application(tmp_path))
    assert not left.exists()
    ((folder, _),) = backups.listed()
    (folder / "application.tar.gz").write_bytes(b"")
    assert backups.listed() == []


async def test_old_backups_go(tmp_path: Path) -> None:
    """The newest stay."""
    backups = Backups(config(tmp_path))
    for number in range(4):
        await backups.take(f"run-{number}", "1.1", None)
        ((folder, _), *_) = [one for one in backups.listed() if one[1].key == f"run-{number}"]
        manifest = folder / "backup.json"
        taken = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**taken, "taken_at": f"2026-01-0{number + 1}T00:00:00+00:00"}))
    backups.prune(2)
    assert [taken.key for _, taken in backups.listed()] == ["run-3", "run-2"]
    assert len(list((tmp_path / "backups").iterdir())) == 2


async def test_mongodump_gets_its_uri_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its configuration, on its standard input; the archive is read back."""
    monkeypatch.setenv("MONGODB_URI", _URI)
    program = mongodump(tmp_path)
    await dumps.mongodb(MongodbDump(program=str(program), options=("--oplog",)), tmp_path / "mongodb.archive.gz")
    got = json.loads(program.with_name("mongodump.got").read_text())
    assert got["uri"] == _URI
    assert "--oplog" in got["argv"]
    assert "s3cret" not in " ".join(got["argv"])


async def test_what_mongodump_wrote_must_be_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else, or the half of one, is no backup."""
    monkeypatch.setenv("MONGODB_URI", _URI)
    program = mongodump(tmp_path, begin="00000000")
    with pytest.raises(StepFailed, match="not an archive of its own"):
        await dumps.mongodb(MongodbDump(program=str(program)), tmp_path / "a")
    (tmp_path / "half").write_bytes(gzip.compress(os.urandom(1000))[:500])
    with pytest.raises(StepFailed, match="cannot be read back"):
        dumps._read_back(tmp_path / "half")


@pytest.mark.parametrize("value", ["", "mysql://db/shop"])
async def test_a_variable_with_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Is named, and its value is not shown."""
    monkeypatch.setenv("POSTGRESQL_URI", value)
    with pytest.raises(StepFailed, match="POSTGRESQL_URI must hold a URI that begins with postgresql://"):
        await dumps.postgresql(PostgresqlDump(), tmp_path / "a")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?schema=public&connection_limit=1", ""),
        ("?ssl=true&connect_timeout=9", "?sslmode=require&connect_timeout=9"),
        ("?options=-c%20work_mem%3D1MB&password=x", "?options=-c%20work_mem%3D1MB"),
    ],
)
async def test_a_dump_is_spared_the_words_of_an_application(
    query: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump takes libpq's alone, and refuses the whole address for any other."""
    ran: list[tuple[str, ...]] = []

    async def run(argv: tuple[str, ...], **_options: object) -> None:
        ran.append(tuple(argv))

    monkeypatch.setattr("healthd_deploy.core.program.run", run)
    monkeypatch.setenv("POSTGRESQL_URI", f"postgresql://app:s3cret@db/shop{query}")
    await dumps.postgresql(PostgresqlDump(), tmp_path / "dump")
    assert ran[0][-1] == f"--dbname=postgresql://app@db/shop{told}"
