"""What a daemon loads before any check, source or notifier needs more."""

import subprocess
import sys

PROGRAM = """
import sys
from healthd.runtime.lean_imports import without

with without("rich"):
    import structlog
import healthd.app

unused = {"alembic", "apscheduler", "asyncpg", "botocore", "cryptography", "dns", "jinja2", "motor", "psutil",
          "pygments", "pymongo", "redis", "regex", "rich", "sentry_sdk", "sqlalchemy.orm",
          "healthd_gates.sources.prometheus", "healthd_gates.hooks.flagger", "healthd_gates.actions.kubernetes"}
assert not (loaded := unused & set(sys.modules)), loaded

import alembic.command, rich.console
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
import sqlalchemy.ext.asyncio.engine as engine
assert AsyncEngine is engine.AsyncEngine and AsyncSession.__module__ == "sqlalchemy.ext.asyncio.session"
"""


def test_a_daemon_loads_nothing_that_it_may_never_need() -> None:
    """And what was left out of a library is there once somebody imports it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
