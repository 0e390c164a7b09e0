"""Bearer tokens of a caller: a fixed one, one in a file that its platform renews, or one of GitHub Actions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import aiohttp

from healthd.http.session import command_session

_REQUEST_URL, _REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_RENEWED_AFTER = 120.0  # seconds; a token of GitHub Actions is valid for five minutes
_PATIENCE = aiohttp.ClientTimeout(total=15.0)


class CredentialError(OSError):
    """The platform gives no token now."""


class Credentials(Protocol):
    """Source of a caller's bearer token."""

    async def bearer(self) -> str | None:
        """Return the token for the next call; None to call without one. Raises OSError."""


class FixedToken:
    """Token that stays as it is."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def bearer(self) -> str | None:
        return self._token


class TokenFile:
    """Token in a file, which is read again for each call: Kubernetes renews that of a pod while it runs."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def bearer(self) -> str | None:
        return (await asyncio.to_thread(self._file.read_text, "utf-8")).strip() or None


class GitHubActions:
    """Token of the running job of GitHub Actions, for a job with `permissions: {id-token: write}`."""

    def __init__(self, environ: Mapping[str, str], audience: str, now: Callable[[], float] = time.monotonic) -> None:
        self._url, self._secret = environ[_REQUEST_URL], environ[_REQUEST_TOKEN]
        self._audience, self._now = audience, now
        self._token, self._since = "", 0.0

    @staticmethod
    def are_there(environ: Mapping[str, str]) -> bool:
        """True if this process is a step of a job that may ask for a token."""
        return bool(environ.get(_REQUEST_URL) and environ.get(_REQUEST_TOKEN))

    async def bearer(self) -> str | None:
        if not self._token or self._now() - self._since >= _RENEWED_AFTER:
            began = self._now()
            self._token, self._since = await self._ask(), began
        return self._token

    async def _ask(self) -> str:
        headers = {"Authorization": f"Bearer {self._secret}", "Accept": "application/json"}
        async with command_session(headers=headers, timeout=_PATIENCE) as session:
            address = f"{self._url}&audience={quote(self._audience, safe='')}"
            try:
                async with session.get(address, allow_redirects=False) as response:
                    answered = await response.json(content_type=None) if response.status == 200 else None
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise CredentialError(f"GitHub Actions gives no token: {str(error) or type(error).__name__}") from None
        if not isinstance(answered, dict) or not isinstance(answered.get("value"), str):
            raise CredentialError(f"GitHub Actions gives no token: status {response.status}")
        value: str = answered["value"]
        return value
