"""Flagger's analysis of one canary: `advanceCanary`, the webhooks that it calls, and how it calls them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_TOTAL = 100
_BACKOFF = 0.2  # seconds; the tool's own begins with one


@dataclass
class Flagger:
    """One canary in the hands of the controller. `advance` is what it does at each interval."""

    canary: Mapping[str, Any]
    checksum: str
    phase: str = "Initialized"
    weight: int = 0
    """What the router sends to the canary."""
    failed_checks: int = 0
    events: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    async def roll_out(self, interval: float) -> None:
        while not self.is_over:
            await self.advance()
            await asyncio.sleep(interval)

    async def advance(self) -> None:
        analysis = self.canary["spec"]["analysis"]
        if self.phase in ("Initialized", "Waiting"):
            confirmed = await self._all("confirm-rollout", self.phase)
            self.phase = "Progressing" if confirmed else "Waiting"
            return
        if self.phase in ("Progressing", "WaitingPromotion") and await self._any("rollback", self.phase):
            await self._roll_back("manual webhook invoked")
            return
        if self.phase == "Promoting":
            self.weight, self.phase = 0, "Finalising"
            return
        if self.phase == "Finalising":
            self.phase = "Succeeded"
            await self._all("post-rollout", self.phase)
            return
        if self.failed_checks >= analysis["threshold"]:
            await self._roll_back("failed checks threshold reached")
            return
        if not await self._all("pre-rollout" if self.weight == 0 else "rollout", "Progressing"):
            self.failed_checks += 1
            return
        if self.phase != "WaitingPromotion" and not await self._all("confirm-traffic-increase", "Progressing"):
            return
        if self.weight < analysis["maxWeight"]:
            self.weight = min(_TOTAL, self.weight + analysis["stepWeight"])
        elif await self._all("confirm-promotion", "Progressing"):
            self.phase = "Promoting"
        else:
            self.phase = "WaitingPromotion"

    async def _roll_back(self, why: str) -> None:
        self.events.append(f"Rolling back: {why}")
        self.weight, self.phase = 0, "Failed"
        await self._all("post-rollout", self.phase)

    async def _all(self, kind: str, phase: str) -> bool:
        for hook in self._hooks(kind):
            if not await self._call(hook, phase):
                return False
        return True

    async def _any(self, kind: str, phase: str) -> bool:
        for hook in self._hooks(kind):
            if await self._call(hook, phase):
                return True
        return False

    def _hooks(self, kind: str) -> list[Mapping[str, Any]]:
        return [hook for hook in self.canary["spec"]["analysis"]["webhooks"] if hook["type"] == kind]

    async def _call(self, hook: Mapping[str, Any], phase: str) -> bool:
        """A POST; tried again, where the webhook has retries, when nobody answers or with 429 and 5xx."""
        payload = {
            "name": self.canary["metadata"]["name"],
            "namespace": self.canary["metadata"]["namespace"],
            "phase": phase,
            "checksum": self.checksum,
            "metadata": hook["metadata"],
        }
        for attempt in range(hook.get("retries", 0) + 1):
            if attempt:
                await asyncio.sleep(_BACKOFF * 2**attempt)
            try:
                async with (
                    aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                    session.post(hook["url"], json=payload) as response,
                ):
                    said = await response.text()
                    if response.status == 429 or response.status >= 500:
                        continue
            except (aiohttp.ClientError, TimeoutError) as error:
                said = str(error)
                continue
            if response.status <= 202:
                return True
            break
        self.events.append(f"{hook['name']}: {said}")
        return False
