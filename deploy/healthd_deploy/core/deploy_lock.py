"""Deploy lock of a service, prolonged while a deploy runs."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from healthd_deploy.core.asked import asked
from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable


class DeployLock:
    """Lock of the deploy named `key`, its holder."""

    def __init__(self, client: GateClient, config: DeployConfig, key: str, steps: Steps) -> None:
        self._client, self._config, self._key, self._steps = client, config, key, steps

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the service's deploy lock, prolonged until the end. Raises CouldNotAsk when another deploy has it."""
        if self._steps.dry_run:
            self._steps.say(f"would take the deploy lock of {self._config.service}", "○")
            yield
            return
        await self._steps.look(f"take the deploy lock of {self._config.service}", self.hold)
        prolonging = asyncio.create_task(self._prolong(), name="deploy lock")
        try:
            yield
        finally:
            prolonging.cancel()
            await asyncio.wait({prolonging})
            with suppress(Refused, Unreachable):  # it expires by itself
                await self._client.unlock(self._config.service, self._key)

    async def hold(self) -> None:
        """Check that the lock still belongs to this deploy. Raises CouldNotAsk."""
        if self._steps.dry_run:
            return
        why = f"deploy of {getpass.getuser()}@{socket.gethostname()}"
        await asked(self._client.lock(self._config.service, self._key, self._config.lock, why))

    async def _prolong(self) -> None:
        """Prolong the lock. It survives a daemon that is briefly unreachable; it must still be held before the
        switch."""
        while True:
            await asyncio.sleep(self._config.lock / 3)
            with suppress(CouldNotAsk):
                await self.hold()
