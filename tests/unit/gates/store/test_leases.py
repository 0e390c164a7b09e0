"""Leases where the journal was never open."""

from pathlib import Path

import pytest

from healthd.journal.database import Database
from healthd.journal.errors import JournalError
from healthd.runtime.clock import SystemClock
from healthd_gates.store.leases import Leases


async def test_a_start_that_failed_has_nothing_to_release(tmp_path: Path) -> None:
    """A warning about gates would stand beside why it failed, and lead away from it."""
    leases = Leases(Database(f"sqlite:///{tmp_path}/j.db", SystemClock(), ()), "host-1", 30.0)
    with pytest.raises(JournalError, match="not open yet"):
        await leases.renew()
    await leases.let_go()
