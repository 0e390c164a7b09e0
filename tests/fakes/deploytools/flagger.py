"""Flagger's analysis of one canary: `advanceCanary`, the webhooks that it calls, and how it calls them. Which facts of
the original it keeps stands in README.md.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_TOTAL = 100


@dataclass
class Flagger:
    """One canary in the hands of the controller. `advance` is what it does at each interval."""

    canary: Mapping[str, Any]
    checksum: str
    before: str = "6c94c7b6bd"
    """The checksum of the rollout before, which is what `confirm-rollout` is asked with."""
    phase: str = "Initialized"
    weight: int = 0
    """What the router sends to the canary."""
    failed_checks: int = 0
    ready: bool = True
    """Whether the primary and the canary are: until then no hook is called at all."""
    is_gone: bool = False
    """Whether the canary was deleted or suspended, which no hook is told."""
    backoff: float = 1.0
    """Seconds before the first retry, doubled from one to the next."""
    events: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.phase in ("Succeeded", "Failed") or self.is_gone

    async def roll_out(self, interval: float) -> None:
        while not self.is_over:
            await self.advance()
            await asyncio.sleep(interval)

    def revise(self, checksum: str) -> None:
        """A new revision in the middle: all traffic goes back, and no hook is told."""
        self.before, self.checksum = self.checksum, checksum
        self.phase, self.weight, self.failed_checks = "Progressing", 0, 0

    async def advance(self) -> None:
        if not self.ready or self.is_gone:
            return
        analysis = self.canary["spec"]["analysis"]
        if self.phase in ("Initialized", "Waiting"):
            confirmed = await self._all("confirm-rollout", self.phase, self.before)
            self.phase = "Progressing" if confirmed else "Waiting"
            return
        if self.canary["spec"].get("skipAnalysis"):
            self.weight, self.phase = 0, "Succeeded"
            await self._all("post-rollout", self.phase)
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
        if self.weight < analysis["maxWeight"]:
            if self.phase != "WaitingPromotion" and not await self._all("confirm-traffic-increase", "Progressing"):
                return
            self.weight = min(_TOTAL, self.weight + analysis["stepWeight"])
        elif await self._all("confirm-promotion", "Progressing"):
            self.phase = "Promoting"
        else:
            self.phase = "WaitingPromotion"

    async def _roll_back(self, why: str) -> None:
        self.events.append(f"Rolling back: {why}")
        self.weight, self.phase = 0, "Failed"
        await self._all("post-rollout", self.phase)

    async def _all(self, kind: str, phase: str, checksum: str | None = None) -> bool:
        for hook in self._hooks(kind):
            if not await self._call(hook, phase, checksum or self.checksum):
                return False
        return True

    async def _any(self, kind: str, phase: str) -> bool:
        for hook in self._hooks(kind):
            if await self._call(hook, phase, self.checksum):
                return True
        return False

    def _hooks(self, kind: str) -> list[Mapping[str, Any]]:
        return [hook for hook in self.canary["spec"]["analysis"]["webhooks"] if hook["type"] == kind]

    async def _call(self, hook: Mapping[str, Any], phase: str, checksum: str) -> bool:
        """A POST; tried again, where the webhook has retries, when nobody answers or with 429 and 5xx. What was
        answered last is lost then."""
        payload = {
            "name": self.canary["metadata"]["name"],
            "namespace": self.canary["metadata"]["namespace"],
            "phase": phase,
            "checksum": checksum,
            "metadata": hook["metadata"],
        }
        tries = hook.get("retries", 0) + 1
        for attempt in range(tries):
            try:
                async with (
                    aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                    session.post(hook["url"], json=payload) as response,
                ):
                    said, wish = await response.text(), response.headers.get("Retry-After", "")
            except (aiohttp.ClientError, TimeoutError):
                wish = ""
            else:
                if response.status <= 202:
                    return True
                if response.status != 429 and response.status < 500:
                    self.events.append(f"{hook['name']}: {said}")
                    return False
                wish = wish if response.status in (429, 503) else ""
            if attempt + 1 < tries:
                await asyncio.sleep(float(wish) if wish.isdigit() else self.backoff * 2**attempt)
        self.events.append(f"{hook['name']}: giving up after {tries} attempt(s)")
        return False
