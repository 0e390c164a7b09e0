"""Deploy lock of a service, held by one run of a deploy and prolonged while it runs."""

from __future__ import annotations

import asyncio
import fcntl
import getpass
import os
import shlex
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

from healthd.units import show_duration
from healthd_deploy.core.asked import asked, why_not_within
from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.schema.lock import LockDocument

_LOCKED = "urn:healthd:locked"
_NOT_OURS = (_LOCKED, "urn:healthd:lock-not-held")
_LOOK_EVERY = 2.0  # seconds between two looks at a lock that may be another run's
_GIVE_BACK = 5.0  # seconds for a daemon to take the lock back
_PAUSE = 1.0  # seconds between two tries of that
_SLACK = 5.0  # seconds that a run may be late with prolonging it


class DeployLock:
    """Lock of the deploy named `key`, its holder; the reason names this run of it.

    Two runs with one key never act at once. On one host a file says whether another one lives, which the kernel unlocks
    when it dies; the lock of a run on another host is taken over once it has not been prolonged in time.
    """

    def __init__(self, client: GateClient, config: DeployConfig, key: str, steps: Steps) -> None:
        self._client, self._config, self._key, self._steps = client, config, key, steps
        self._here = f"deploy of {_user()}@{socket.gethostname()}, run {_place()}"
        self._reason = self._here + uuid.uuid4().hex[:8]
        self.is_another_runs = False
        """True if another run of this deploy was seen to be under way: what is done so far is that one's."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the service's deploy lock, prolonged until the end. Raises CouldNotAsk when another deploy, or another
        run of this one, has it."""
        if self._steps.dry_run:
            self._steps.say(f"would take the deploy lock of {self._config.service}", "○")
            yield
            return
        with self._alone_here() as alone:
            await self._steps.look(f"take the deploy lock of {self._config.service}", lambda: self._take(alone=alone))
            prolonging = asyncio.create_task(self._prolong(), name="deploy lock")
            try:
                yield
            finally:
                prolonging.cancel()
                await asyncio.wait({prolonging})
                await self._give_back()

    async def _give_back(self) -> None:
        """Give the lock back, and say by what command a person does where healthd does not take it back in time. It
        expires by itself."""
        taken_by = asyncio.get_running_loop().time() + _GIVE_BACK
        while (why := await self._not_given_back(taken_by - asyncio.get_running_loop().time())) is not None:
            if asyncio.get_running_loop().time() + _PAUSE > taken_by:
                order = shlex.join(("healthd", "gate", "unlock", self._config.service, "--holder", self._key))
                self._steps.say(
                    f"the deploy lock of {self._config.service} could not be given back: {why.rstrip('.')}. It refuses "
                    f"other deploys until it expires, within {show_duration(self._config.lock)}, or `{order}` gives it "
                    "back",
                    "✗",
                )
                return
            await asyncio.sleep(_PAUSE)

    async def _not_given_back(self, within: float) -> str | None:
        """Try that once. Return why healthd did not take it back; None where it did, or another run has the lock."""
        try:
            async with asyncio.timeout(within):
                await self._locked()  # this run's, and not another one's of the same key
                await self._client.unlock(self._config.service, self._key)
        except Refused as refusal:
            return None if refusal.problem.get("type") in _NOT_OURS else str(refusal)
        except Unreachable as error:
            return str(error)
        except TimeoutError as late:
            return why_not_within(_GIVE_BACK, late)
        return None

    async def hold(self) -> None:
        """Check that the lock still belongs to this run. Raises CouldNotAsk."""
        if not self._steps.dry_run:
            await asked(self._locked())

    async def _locked(self, instead_of: str | None = None) -> LockDocument:
        lasts, why = self._config.lock, self._reason
        return await self._client.lock(
            self._config.service, self._key, lasts, why, exclusive=True, instead_of=instead_of
        )

    async def _take(self, *, alone: bool) -> None:
        """Take the lock, also that of a run of this deploy which was killed."""
        try:
            await self._locked()
        except Unreachable as error:
            raise CouldNotAsk(str(error)) from error
        except Refused as refusal:
            other = await self._other_run()
            if refusal.problem.get("type") != _LOCKED or other is None:
                raise CouldNotAsk(str(refusal)) from refusal
            if not (alone and other.reason.startswith(self._here)):  # else it is over: its file is ours
                other = await self._is_over(other)
            await asked(self._locked(instead_of=other.reason))

    async def _is_over(self, other: LockDocument) -> LockDocument:
        """Wait for as long as a run that lives needs to prolong its lock. Raises CouldNotAsk if it does."""
        within = self._config.lock / 3 + _SLACK
        self._steps.say(f"{other.reason}, has the lock: up to {show_duration(round(within))} to see whether it lives")
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while (now := await self._other_run()) is not None:
                    if now.until != other.until:
                        self.is_another_runs = True
                        raise CouldNotAsk(f"another run of {self._key} is under way: {now.reason}")
                    await asyncio.sleep(_LOOK_EVERY)
        return other

    async def _other_run(self) -> LockDocument | None:
        """Return the lock if this deploy holds it, by another run."""
        locks = (await asked(self._client.locks())).locks
        mine = (lock for lock in locks if (lock.service, lock.holder) == (self._config.service, self._key))
        return next((lock for lock in mine if lock.reason != self._reason), None)

    @contextmanager
    def _alone_here(self) -> Iterator[bool]:
        """Refuse a second run of this deploy on this host. Yields False where no file can say so. Raises
        CouldNotAsk."""
        named = f"{self._config.healthd.url} {self._config.service} {self._key}"
        path = _folder() / f"{sha256(named.encode()).hexdigest()[:32]}.lock"
        try:
            file = _locked_file(path)
        except BlockingIOError:
            self.is_another_runs = True
            raise CouldNotAsk(f"another run of {self._key} is under way on this host: wait for its end") from None
        except OSError:
            yield False
            return
        with file:
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)

    async def _prolong(self) -> None:
        """Prolong the lock. It survives a daemon that is briefly unreachable; it must still be held before the
        switch."""
        while True:
            await asyncio.sleep(self._config.lock / 3)
            with suppress(CouldNotAsk):
                await self.hold()


def _user() -> str:
    """Return who deploys; a container may run as a user who has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"healthd-deploy-{os.getuid()}"


def _place() -> str:
    """Return a mark of the folder whose files say which runs live, empty where there is none: of two containers with
    the name of one host each has its own, and knows nothing of the other's runs."""
    try:
        _folder().mkdir(mode=0o700, exist_ok=True)
        stat = _folder().stat()
    except OSError:
        return ""
    return sha256(f"{stat.st_dev} {stat.st_ino}".encode()).hexdigest()[:4]


def _locked_file(path: Path) -> IO[str]:
    """Return a file that this process has locked. Raises BlockingIOError where another one has."""
    while True:
        file = path.open("w", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its owner has removed it meanwhile
