"""The image that `HEALTHD_TEST_IMAGE` names, run by `HEALTHD_TEST_ENGINE` (`docker`, or what takes its commands).

It runs as docs/install.md says, and locked down. Its network is the host's, so that every engine can.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.acceptance import first_gate
from tests.servers.ports import free_port
from tests.servers.waiting import until_now

IMAGE, ENGINE = os.environ.get("HEALTHD_TEST_IMAGE", ""), os.environ.get("HEALTHD_TEST_ENGINE", "docker")
INSTALL = first_gate.DOCS / "install.md"
LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
LOADED = (
    "aiobotocore.session", "aiomysql", "aiosqlite", "alembic", "apprise", "asyncpg", "h2.connection", "jinja2",
    "jwt.algorithms", "motor",
    "opentelemetry.proto.metrics.v1.metrics_pb2", "redis.asyncio", "rich.live", "sentry_sdk",
    "sqlalchemy.dialects.postgresql.asyncpg",
)  # fmt: skip
NAME = f"healthd-test-{os.getpid()}"
pytestmark = pytest.mark.skipif(not IMAGE, reason="HEALTHD_TEST_IMAGE names no image")


def engine(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*ENGINE.split(), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{words}: {done.stderr}"
    return done


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a container that is ready."""
    port = free_port()
    address = ["--network", "host", "--env", f"HEALTHD_LISTEN=127.0.0.1:{port}"]
    engine("run", "--detach", "--name", NAME, *LOCKED, *address, "--volume", f"{NAME}:/var/lib/healthd", IMAGE)
    try:
        until_now(lambda: answered(port), "ready", 120)
        yield port
    finally:
        print(engine("logs", NAME, check=False))
        engine("rm", "--force", "--volumes", NAME, check=False)
        engine("volume", "rm", NAME, check=False)


def answered(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(json.load(answer)["status"] == "ready")
    except OSError:
        return False


def test_it_is_small() -> None:
    """What it adds to its base: beside this folder there are a user and a configuration."""
    size = engine("run", "--rm", "--entrypoint", "du", IMAGE, "--bytes", "--summarize", "/opt/healthd").stdout
    assert int(size.split()[0]) < 120_000_000


def test_nothing_builds_inside_and_everything_loads() -> None:
    """No compiler, no installer of its own; what it may be configured for is imported."""
    code = f"import {', '.join(LOADED)}"
    engine("run", "--rm", "--entrypoint", "python", IMAGE, "-I", "-c", code)
    listed = engine(
        "run", "--rm", "--entrypoint", "sh", IMAGE, "-c", "ls /opt/healthd/bin; command -v gcc strip || true"
    ).stdout
    assert {name for name in listed.split() if not name.startswith("python")} == {"healthd", "healthd-deploy"}


def test_it_is_ready_locked_down_and_stops_before_it_is_killed(port: int) -> None:
    """As nobody in particular, with a root that cannot be written, and with the time that `docker stop` gives."""
    assert engine("exec", NAME, "id", "-u").stdout == "10001\n"
    assert engine("exec", NAME, "touch", "/etc/healthd/new", check=False).returncode != 0
    assert engine("exec", NAME, "ls", "/var/lib/healthd").stdout.split()[0] == "healthd.db"
    (probe,) = re.findall(r"(?m)^ +- (exec 3<>.*)$", INSTALL.read_text(encoding="utf-8"))
    asked = [probe.replace("$$", "$").replace("8080", str(where)) for where in (port, free_port())]
    assert [engine("exec", NAME, "bash", "-c", each, check=False).returncode == 0 for each in asked] == [True, False]
    engine("stop", NAME)
    assert engine("inspect", "--format", "{{.State.ExitCode}}", NAME).stdout.strip() == "0"
    told = engine("logs", NAME)
    events = [json.loads(line) for line in (told.stdout + told.stderr).splitlines()]
    assert events[-1]["event"] == "stopped"
    assert [event for event in events if event["level"] == "error"] == []


def test_it_leads_to_a_first_gate(tmp_path: Path) -> None:
    """By the words of the quickstart, each `healthd` of which is one of the image."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    shown = "--env HEALTHD_TOKEN --env HEALTHD_TOKEN_HASH --env HEALTHD_URL --env COLUMNS --env PWD"
    words = f"{' '.join(LOCKED)} --network host --volume {home}:{home} --workdir {home} --user {os.getuid()} {shown}"
    program = programs / "healthd"
    program.write_text(f'#!/bin/sh\nexec {shutil.which(ENGINE.split()[0])} run --rm {words} {IMAGE} "$@"\n')
    program.chmod(0o755)
    first_gate.is_reached(home, programs)
