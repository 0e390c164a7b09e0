"""A webhook stage of Spinnaker's: how it is created, monitored, and cancelled when it does not succeed."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp

_EXPRESSION = re.compile(r"\$\{(?P<name>[a-zA-Z.]+)\}")
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


@dataclass
class WebhookStage:
    """`status` is Spinnaker's: RUNNING, SUCCEEDED, CANCELED or TERMINAL."""

    stage: Mapping[str, Any]
    context: Mapping[str, str]
    """What its expressions are evaluated with."""
    status: str = "RUNNING"
    status_url: str = ""
    progress: list[str] = field(default_factory=list)
    error: str = ""

    def __post_init__(self) -> None:
        filled = _EXPRESSION.sub(lambda found: json.dumps(self.context[found["name"]])[1:-1], json.dumps(self.stage))
        self.stage = json.loads(filled)

    async def run(self, interval: float) -> None:
        while self.status == "RUNNING" and not self.status_url:
            await self.create()
            await asyncio.sleep(interval)
        while self.status == "RUNNING":
            await self.monitor()
            await asyncio.sleep(interval)
        if self.status != "SUCCEEDED":
            await self.cancel()

    async def create(self) -> None:
        """5xx and 429 are tried again; anything else but a success, and a connection that breaks, is the end."""
        answered = await self._exchange(self.stage["method"], self.stage["url"], self.stage["payload"])
        if answered is None:
            return
        headers, _ = answered
        # The host is as it was called, whatever the header says of it.
        self.status_url = urljoin(self.stage["url"], headers["Location"])

    async def monitor(self) -> None:
        answered = await self._exchange("GET", self.status_url, None)
        if answered is None:
            return
        _, body = answered
        progress = body[_key(self.stage["progressJsonPath"])]
        assert isinstance(progress, str)  # anything else ends the stage
        self.progress.append(progress)
        found = str(body[_key(self.stage["statusJsonPath"])]).upper()
        for statuses, status in (
            ("successStatuses", "SUCCEEDED"),
            ("canceledStatuses", "CANCELED"),
            ("terminalStatuses", "TERMINAL"),
        ):
            if found in [listed.strip().upper() for listed in self.stage[statuses].split(",")]:
                self.status = status

    async def cancel(self) -> None:
        """As when a person cancels the execution, and after each stage that failed; nobody looks what comes of it."""
        status, self.status = self.status, "RUNNING"
        await self._exchange(self.stage["cancelMethod"], self.stage["cancelEndpoint"], self.stage["cancelPayload"])
        self.status = "CANCELED" if status == "RUNNING" else status

    async def _exchange(self, method: str, url: str, payload: Any) -> tuple[Mapping[str, str], Any] | None:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, headers=self.stage["customHeaders"]) as session,
                session.request(method, url, json=payload) as response,
            ):
                raw = await response.read()
        except aiohttp.ClientError as error:  # what is refused is not tried again
            self.status, self.error = "TERMINAL", str(error)
            return None
        except TimeoutError:
            return None
        if response.status == 429 or response.status >= 500:
            return None
        if response.status >= 400:
            self.status, self.error = "TERMINAL", f"{response.status}: {raw.decode()}"
            return None
        return response.headers, json.loads(raw) if raw else None


def _key(path: str) -> str:
    found = re.fullmatch(r"\$\.([a-z]+)", path)
    assert found is not None
    return found[1]
