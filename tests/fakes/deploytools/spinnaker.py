"""A webhook stage of Spinnaker's: how it is created, monitored, and cancelled when it does not succeed. Which facts of
the original it keeps stands in README.md.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

_EXPRESSION = re.compile(r"\$\{(?P<name>[a-zA-Z.]+)\}")
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_FAILS_FAST = (504,)


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
        """The first call. An answer that is lost is the end: a POST is not sent again for that."""
        try:
            status, headers, body = await self._send(self.stage["method"], self.stage["url"], self.stage["payload"])
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._end(f"an exception occurred performing a request: {error!r}")
        if status in self.stage.get("failFastStatusCodes", _FAILS_FAST):
            return self._end(f"{status} is configured to fail fast")
        if status >= 400:
            again = status >= 500 or status == 429 or status in self.stage.get("webhookRetryStatusCodes", ())
            return None if again else self._end(f"{status}: {body}")
        self.status_url = self._status_url(headers, json.loads(body)) or ""
        if not self.status_url:
            self._end("the status URL couldn't be resolved, but 'Wait for completion' is configured")
        return None

    def _status_url(self, headers: Mapping[str, str], body: Any) -> str | None:
        """As it came, but for its scheme where the host is the one that was called."""
        match self.stage["statusUrlResolution"]:
            case "getMethod":
                return str(self.stage["url"])
            case "locationHeader":
                found = headers.get("Location")
            case "webhookResponse":
                found = body[_key(self.stage["statusUrlJsonPath"])]
            case other:
                raise ValueError(other)
        called, told = urlsplit(self.stage["url"]), urlsplit(found or "")
        return told._replace(scheme=called.scheme).geturl() if told.hostname == called.hostname else found

    async def monitor(self) -> None:
        if not urlsplit(self.status_url).netloc:
            return self._end(f"IllegalArgumentException: non absolute URI {self.status_url}")
        try:
            status, _, body = await self._send("GET", self.status_url, None)
        except TimeoutError:
            return None
        except aiohttp.ClientError as error:
            return self._end(f"an exception occurred in webhook monitor: {error!r}")
        if status >= 400:
            again = status >= 500 or status == 429 or status in self.stage.get("retryStatusCodes", ())
            return None if again else self._end(f"{status}: {body}")
        return self._read(json.loads(body))

    def _read(self, body: Any) -> None:
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
        await self._send(self.stage["cancelMethod"], self.stage["cancelEndpoint"], self.stage["cancelPayload"])
        self.status = "CANCELED" if self.status == "RUNNING" else self.status

    def _end(self, why: str) -> None:
        self.status, self.error = "TERMINAL", why

    async def _send(self, method: str, url: str, payload: Any) -> tuple[int, Mapping[str, str], str]:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers=self.stage["customHeaders"]) as session,
            session.request(method, url, json=payload) as response,
        ):
            return response.status, response.headers, await response.text()


def _key(path: str) -> str:
    found = re.fullmatch(r"\$\.([a-z_]+)", path)
    assert found is not None
    return found[1]
