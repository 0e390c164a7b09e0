"""What `healthd-deploy host release` does when something is wrong: put back, told, and nothing left behind."""

import asyncio
import os
import signal
from pathlib import Path

from tests.acceptance.deploy.host_stage import INSTANCES, staged
from tests.servers.waiting import until


def _tree(folder: Path) -> dict[str, float]:
    return {str(each): each.lstat().st_mtime_ns for each in folder.rglob("*")}


async def test_what_cannot_serve_is_put_back(tmp_path: Path, postgresql_dsn: str) -> None:
    """A version that is not healthy, one that does not start, an interrupted one; the first of all leaves nothing."""
    async with staged(tmp_path, postgresql_dsn) as stage:
        for version, behaviour in {"1.0": {}, "2.0": {"sick": True}, "3.0": {"broken": True}, "4.0": {}}.items():
            stage.pack(version, **behaviour)
        stage.configure(gates={"before": [], "after": "quick"}, health=_health(stage.url, times=2))
        none = await stage.run("release", "2.0")
        assert none.code == 1, none.err
        assert "not healthy at the last of 2 looks" in none.out
        assert not (stage.home / "current").is_symlink()
        assert stage.pm2.processes() == []

        stage.configure(health=_health(stage.url, times=20))
        assert (await stage.run("release", "1.0")).code == 0
        stage.configure(health=_health(stage.url, times=4))
        for version, why in {"2.0": "/health answers 503", "3.0": "instances"}.items():
            outcome = await stage.run("release", version)
            assert outcome.code == 1, outcome.err
            assert why in outcome.out
            assert "✓ put 1.0 back" in outcome.err
            assert (stage.current, stage.running()) == ("1.0", ["1.0"] * INSTANCES)

        stage.configure(gates={"before": [], "after": "post-switch"})
        deploy = await stage.start("release", "4.0")
        await until(lambda: (stage.home / "current").readlink().name == "4.0", "the switch")
        deploy.send_signal(signal.SIGTERM)
        out, err = await deploy.communicate()
        assert (deploy.returncode, b"interrupted" in out) == (130, True), err.decode()
        assert (stage.current, stage.running()) == ("1.0", ["1.0"] * INSTANCES)
        assert not (stage.home / ".deploy.json").exists()


async def test_where_nothing_serves_any_more_the_gate_is_not_waited_for(tmp_path: Path, postgresql_dsn: str) -> None:
    """PM2's daemon is killed while the gate judges, and every instance ends with it."""
    async with staged(tmp_path, postgresql_dsn) as stage:
        stage.pack("1.0")
        stage.pack("1.1")
        stage.configure(gates={"before": [], "after": "quick"})
        assert (await stage.run("release", "1.0")).code == 0
        stage.configure(gates={"before": [], "after": "patient"})
        deploy = await stage.start("release", "1.1")
        assert deploy.stderr is not None
        while b"gate patient" not in (line := await deploy.stderr.readline()):
            assert line, "it ended before its gate"
        os.kill(int((Path(stage.env["PM2_HOME"]) / "pm2.pid").read_text()), signal.SIGKILL)
        out, err = await deploy.communicate()
        assert deploy.returncode == 1, err.decode()
        assert b"no instance of shop is online, and " in out
        assert (stage.current, stage.running()) == ("1.0", ["1.0"] * INSTANCES)


async def test_what_fails_before_the_switch_changes_nothing(tmp_path: Path, postgresql_dsn: str) -> None:
    """A missing program, a refused login, a failed migration, a damaged archive: told, without a secret."""
    async with staged(tmp_path, postgresql_dsn) as stage:
        stage.pack("1.0")
        gates = {"before": [], "after": "quick"}
        stage.configure(gates=gates, backup={"mongodb": {"program": "no-mongodump"}})
        missing = await stage.run("release", "1.0", env={"MONGODB_URI": "mongodb://localhost"})
        assert missing.code == 3, missing.err
        assert "the program no-mongodump is not there" in missing.out

        stage.configure(backup={"postgresql": {}})
        secret = postgresql_dsn.rpartition("@")[0].rpartition(":")[2]
        wrong = postgresql_dsn.replace(secret, "wrong-passw0rd")
        refused = await stage.run("release", "1.0", env={"POSTGRESQL_URI": wrong})
        assert refused.code == 1, refused.err
        assert "pg_dump ended with 1" in refused.out
        assert "wrong-passw0rd" not in refused.out + refused.err
        assert stage.backups() == []

        leaking = ["sh", "-c", 'echo "cannot reach $POSTGRESQL_URI" >&2; exit 1']
        stage.configure(migrations={"argv": leaking, "undo": ["touch", str(tmp_path / "undone")]})
        failed = await stage.run("release", "1.0")
        assert failed.code == 1, failed.err
        assert "sh ended with 1: cannot reach" in failed.out
        assert secret not in failed.out + failed.err
        assert (tmp_path / "undone").exists()
        assert not (stage.home / "current").is_symlink()

        stage.configure(migrations=None, source=_source(tmp_path, sha256="0" * 64))
        damaged = await stage.run("release", "1.0")
        assert damaged.code == 1, damaged.err
        assert "it is damaged, or not what was released" in damaged.out
        for bad in ("../1.0", "-x", "1/0", ""):
            assert (await stage.run("release", "--", bad)).code in (2, 3)


async def test_by_hand(tmp_path: Path, postgresql_dsn: str) -> None:
    """A dry run changes nothing; the backups are listed; back to the release before, and twice is as once."""
    async with staged(tmp_path, postgresql_dsn) as stage:
        stage.pack("1.0")
        stage.pack("1.1")
        stage.configure(gates={"before": ["preflight"], "after": "quick"})
        assert (await stage.run("release", "1.0")).code == 0
        before = _tree(stage.home)
        dry = await stage.run("release", "1.1", "--dry-run")
        assert dry.code == 0, dry.err
        assert [
            line.partition("○ would ")[2].partition(": a verdict")[0] for line in dry.err.splitlines() if "○" in line
        ] == [
            "take the deploy lock of shop",
            "ask the gate preflight about 1.1",
            "back up",
            "fetch, unpack and install 1.1",
            "switch current from 1.0 to 1.1",
            "wait until 1.1 is healthy",
            "ask the gate smoke about 1.1",
            "ask the gate quick about 1.1",
            "note that it was promoted",
            "remove what is older than is kept",
        ]
        assert _tree(stage.home) == before
        assert (await stage.run("release", "1.1")).code == 0

        for _ in range(2):
            back = await stage.run("rollback")
            assert (back.code, back.out) == (0, "1.0 is current, and healthy\n"), back.err
            assert (stage.current, stage.running()) == ("1.0", ["1.0"] * INSTANCES)
        other = tmp_path / "another-pm2"
        for words in (["rollback", "--to", "1.1"], ["rollback", "--to", "1.1", "--dry-run"], ["release", "1.1"]):
            stranger = await stage.run(*words, env={"PM2_HOME": str(other)})
            assert stranger.code in (1, 3), stranger.err
            assert f"the PM2 of this user in {other} knows no shop" in stranger.out + stranger.err
        assert (stage.current, stage.running(), other.exists()) == ("1.0", ["1.0"] * INSTANCES, False)
        gone = await stage.run("rollback", "--to", "0.9")
        assert (gone.code, "0.9 is not there, or not whole" in gone.err) == (1, True)

        listed = (await stage.run("backups")).out.splitlines()
        assert len(listed) == 2
        assert "before-1.1" in listed[0]
        assert "application.tar.gz, postgresql.dump" in listed[0]
        dump = Path(listed[0].split("  ")[0]) / "postgresql.dump"
        shown = await asyncio.create_subprocess_exec(
            "pg_restore", "--list", str(dump), env={**os.environ, **stage.env}, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await shown.communicate()
        assert b"Archive created" in out


def _health(url: str, times: int) -> dict[str, object]:
    return {"url": f"{url}/health", "times": times, "interval": "500ms"}


def _source(folder: Path, **more: str) -> dict[str, str]:
    return {"archive": f"{folder}/shop-$version.tar.gz", **more}
