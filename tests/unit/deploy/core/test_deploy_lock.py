"""Two runs of one deploy: the lock is one run's, and another's only once that is over."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from healthd_deploy.core import deploy_lock
from healthd_deploy.core.deploy_lock import DeployLock
from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused
from healthd_gates.schema.lock import LockDocument, LocksDocument

ELSEWHERE = "deploy of ci@elsewhere, run 00000000"


class Locks:
    """The lock of one service, as the daemon keeps it."""

    def __init__(self, reason: str | None = None) -> None:
        self.now = self._lock(reason) if reason else None
        self.unavailable = 0  # calls to come that the journal's absence refuses

    def _lock(self, reason: str) -> LockDocument:
        until = datetime.now(UTC) + timedelta(minutes=5)
        return LockDocument(service="shop", holder="run-7", until=until, reason=reason, caller="ci")

    async def lock(
        self, _service: str, _holder: str, _seconds: float, reason: str, *, exclusive: bool, instead_of: str | None
    ) -> LockDocument:
        if self.unavailable:
            self.unavailable -= 1
            raise Refused(503, {"title": "Journal unavailable", "detail": "database or disk is full."})
        if exclusive and self.now is not None and self.now.reason not in (reason, instead_of):
            raise Refused(409, {"type": "urn:healthd:locked", "detail": f"run-7 holds it: {self.now.reason}"})
        self.now = self._lock(reason)
        return self.now

    async def locks(self) -> LocksDocument:
        return LocksDocument(locks=[self.now] if self.now else [])

    async def unlock(self, _service: str, _holder: str) -> None:
        self.now = None

    @asynccontextmanager
    async def prolonged(self) -> AsyncIterator[None]:
        """By the run that holds it."""
        assert self.now is not None
        before = self.now

        async def later() -> None:
            await asyncio.sleep(0.05)
            self.now = self._lock(before.reason)

        prolonging = asyncio.create_task(later())
        yield
        await prolonging


def held(locks: Locks, *, quiet: bool = True) -> DeployLock:
    config = DeployConfig.model_validate({"service": "shop", "lock": "15s"})
    return DeployLock(cast("GateClient", locks), config, "run-7", Steps(quiet=quiet))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy_lock, "_SLACK", -4.8)
    monkeypatch.setattr(deploy_lock, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(deploy_lock, "_PAUSE", 0.01)


async def test_two_at_once_on_one_host() -> None:
    """The second is refused; after the first it has the lock, though that left none behind."""
    locks = Locks()
    async with held(locks).held():
        with pytest.raises(CouldNotAsk, match="another run of run-7 is under way on this host"):
            async with held(locks).held():
                pytest.fail("it must not begin")
    async with held(locks).held():
        assert locks.now is not None
    assert locks.now is None


async def test_a_run_that_was_killed_here() -> None:
    """Its lock is taken over at once: its file is nobody's."""
    locks = Locks()
    killed = held(locks)
    await killed.hold()
    async with held(locks).held():
        with pytest.raises(CouldNotAsk, match="run-7 holds it"):
            await killed.hold()
    assert locks.now is None


async def test_a_run_elsewhere_that_lives() -> None:
    """It prolongs its lock, which is seen."""
    locks = Locks(ELSEWHERE)
    async with locks.prolonged():
        with pytest.raises(CouldNotAsk, match=f"another run of run-7 is under way: {ELSEWHERE}"):
            async with held(locks).held():
                pytest.fail("it must not begin")
    assert locks.now is not None


async def test_a_run_elsewhere_that_is_over() -> None:
    """It does not, and of two that wait for it one has the lock."""
    locks = Locks(ELSEWHERE)
    one, two = held(locks), held(locks)
    taken = await asyncio.gather(one._take(alone=True), two._take(alone=True), return_exceptions=True)
    assert sorted(map(type, taken), key=str) == [type(None), CouldNotAsk]


async def test_two_containers_with_the_name_of_one_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the host's network: neither sees the other's file, so that it looks whether the other one lives."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    locks = Locks()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "one"))
    async with held(locks).held():
        assert locks.now is not None
        first = locks.now.reason
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "two"))
        async with locks.prolonged():
            with pytest.raises(CouldNotAsk, match=f"another run of run-7 is under way: {first}"):
                async with held(locks).held():
                    pytest.fail("it must not begin")


async def test_a_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a bare number."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    locks = Locks()
    async with held(locks).held():
        assert locks.now is not None
        assert locks.now.reason.startswith("deploy of 4000000000@")


async def test_a_lock_that_is_given_back_once_the_journal_is_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of the tries in between."""
    locks = Locks()
    async with held(locks, quiet=False).held():
        locks.unavailable = 3
    assert locks.now is None
    assert "unlock" not in capsys.readouterr().err


async def test_a_lock_that_cannot_be_given_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines say why, until when it refuses others, and by what command a person gives it back."""
    monkeypatch.setattr(deploy_lock, "_GIVE_BACK", 0.1)
    locks = Locks()
    async with held(locks, quiet=False).held():
        locks.unavailable = 1_000_000
    assert locks.now is not None
    assert (
        "✗ the deploy lock of shop could not be given back: Journal unavailable: database or disk is full. It refuses "
        "other deploys until it expires, within 15s, or `healthd gate unlock shop --holder run-7` gives it back"
    ) in capsys.readouterr().err


async def test_another_runs_lock_is_not_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is anything said of it: it refuses others by right."""
    locks = Locks()
    async with held(locks, quiet=False).held():
        locks.now = locks._lock(ELSEWHERE)
    assert locks.now is not None
    assert "unlock" not in capsys.readouterr().err
