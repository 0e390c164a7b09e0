"""What a daemon loads before it serves health, and before any check, source or notifier needs more."""

import subprocess
import sys
from pathlib import Path

EARLY = """
import sys
from healthd.__main__ import main
from healthd.web import server

async def listen(*_):
    late = {"alembic", "apscheduler", "asyncpg", "botocore", "jinja2", "psutil", "redis", "sqlalchemy",
            "healthd.journal.database", "healthd.notify", "healthd.web.openapi",
            "healthd.web.pages", "healthd_gates.engine", "healthd_gates.router", "healthd_gates.store",
            "healthd_gates.domain.standing", "healthd_gates.judge.past", "healthd_gates.judge.error_rate",
            "healthd_gates.judge.latency", "healthd_gates.judge.plain", "healthd_gates.judge.ramp"}
    sys.exit(", ".join(sorted(late & set(sys.modules))) or 0)

server.listen = listen
sys.argv = ["healthd", "run", "--config", sys.argv[1]]
main()
"""
READINGS = """
from importlib import metadata

read = metadata.PathDistribution.read_text
count = 0

def counted(distribution, name):
    global count
    count += name == "entry_points.txt"
    return read(distribution, name)

metadata.PathDistribution.read_text = counted
from click import Context
from healthd.cli import main

main.get_command(Context(main), "run")
from healthd.checks import CHECKS

before = count
assert CHECKS.find("process") and CHECKS.kinds()
import healthd.monitoring.scheduler
assert 0 < before == count, (before, count)
installed = {str(each._path) for each in metadata.distributions()}
assert count <= len(installed), (count, len(installed))
"""
LATE = """
import sys
from healthd.runtime.lean_imports import without

with without("rich"):
    import structlog
import healthd.app.daemon, healthd.app.gates

unused = {"alembic", "apscheduler", "asyncpg", "botocore", "cryptography", "dns", "jinja2", "motor", "psutil",
          "pygments", "pymongo", "redis", "regex", "rich", "sentry_sdk", "sqlalchemy.orm",
          "healthd_gates.sources.prometheus", "healthd_gates.hooks.flagger", "healthd_gates.actions.kubernetes"}
assert not (loaded := unused & set(sys.modules)), loaded

healthd.app.gates.load()
judges = {f"healthd_gates.judge.{name}" for name in
          ("error_rate", "latency", "plain", "rate", "ratio", "strata", "value")}
assert judges <= set(sys.modules), "a gate would import it in the event loop"

import alembic.command, rich.console
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
import sqlalchemy.ext.asyncio.engine as engine
assert AsyncEngine is engine.AsyncEngine and AsyncSession.__module__ == "sqlalchemy.ext.asyncio.session"
"""


def test_health_is_served_before_the_rest_is_loaded(tmp_path: Path) -> None:
    """Neither the journal nor pages, notifications or gates are imported when the daemon begins to listen."""
    file = tmp_path / "healthd.yaml"
    file.write_text("checks: {web: {kind: http, url: http://127.0.0.1:1/}}\n")
    done = subprocess.run([sys.executable, "-c", EARLY, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_packages_plug_in_is_read_once() -> None:
    """pydantic's first model, our kinds and APScheduler share one reading: each opens a file of every package."""
    done = subprocess.run([sys.executable, "-c", READINGS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_daemon_loads_nothing_that_it_may_never_need() -> None:
    """And what was left out of a library is there once somebody imports it."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
