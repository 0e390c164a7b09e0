"""Calls GitHub back, as a GitHub App or with a token: approves or rejects a deployment and reports progress until
then."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from yarl import URL

from healthd.checks.connect import Endpoint
from healthd.checks.unreachable import why_unreached
from healthd.http.retry_after import seconds_to_reset, seconds_to_wait
from healthd.http.session import new_session
from healthd.runtime.clock import Clock
from healthd.wording import excerpt
from healthd_gates.config.hooks.github import App, GitHubConfig
from healthd_gates.domain.callback import FinalWord
from healthd_gates.domain.standing import Verdict
from healthd_gates.hooks.callback import Delivery, Receipt

_LONGEST_COMMENT = 1024  # characters, GitHub's limit
_LONGEST_ANSWER = 65_536
_SHOWN = 200
_SKEW, _JWT_SECONDS = 60.0, 540.0  # GitHub takes ten minutes at most, by its own clock
_SPARE = timedelta(minutes=5)  # a token that ends sooner is no longer used
_TRY_AGAIN = (401, 403, 404, 408, 409, 425, 429)  # a key, a permission or an installation may be corrected meanwhile
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "healthd"}


class _NoTokenError(Exception):
    """GitHub gave no token for the installation; `delivery` is the result of the attempt that needed it."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.detail)
        self.delivery = delivery


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    until: datetime


class GitHub:
    """Calls GitHub back for one hook."""

    def __init__(self, config: GitHubConfig, clock: Clock) -> None:
        self.wait_timeout, self.retry_for = config.wait_timeout, config.retry_for
        self._config, self._clock = config, clock
        self._tokens: dict[tuple[str, int, int], _Token] = {}
        self._session: aiohttp.ClientSession | None = None

    async def target_groups(self, address: Mapping[str, Any]) -> Collection[str]:
        """Return none: a job that GitHub protects has not deployed yet."""
        return ()

    async def excuse(self, address: Mapping[str, Any]) -> str | None:
        return None

    async def tell(self, address: Mapping[str, Any], word: FinalWord, text: str) -> Delivery:
        state = "approved" if word is Verdict.PASS else "rejected"
        return await self._post(address, {"state": state, "comment": text[:_LONGEST_COMMENT]})

    async def report(self, address: Mapping[str, Any], text: str) -> None:
        await self._post(address, {"comment": text[:_LONGEST_COMMENT]})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, address: Mapping[str, Any], said: Mapping[str, str]) -> Delivery:
        url = URL(address["url"])
        if (refused := self._config.refuses(address["url"])) is not None:  # the configuration was different then
            return Delivery(Receipt.RETRY, f"the callback address {refused}", heard=False)
        try:
            token = await self._token(url, address)
        except _NoTokenError as error:
            return error.delivery
        body = {"environment_name": address["environment"], **said}
        try:
            status, headers, text = await self._send(url, token, body)
        except (aiohttp.ClientError, OSError) as error:
            return Delivery(
                Receipt.RETRY,
                why_unreached(error, _endpoint(url)),
                heard=not isinstance(error, aiohttp.ClientConnectorError),
            )
        if status == 401:
            self._tokens.clear()
        return self._delivery(url, status, headers, text)

    def _delivery(self, url: URL, status: int, headers: Mapping[str, str], text: str) -> Delivery:
        if 200 <= status < 300:
            return Delivery(Receipt.TAKEN, f"GitHub answered {status}")
        detail = f"{url.host} answered {status}{text}"
        if status >= 500:
            return Delivery(Receipt.RETRY, detail, self._wish(headers))
        if status in _TRY_AGAIN:
            return Delivery(Receipt.RETRY, detail, self._wish(headers), heard=False)
        return Delivery(Receipt.REFUSED, detail)

    def _wish(self, headers: Mapping[str, str]) -> float:
        """Return how many seconds GitHub asks to wait: after too many calls it says until when."""
        now = self._clock.now()
        wanted = seconds_to_wait(headers, now)
        if wanted is None and headers.get("X-RateLimit-Remaining") == "0":
            wanted = seconds_to_reset(headers, now)
        return wanted or 0.0

    async def _token(self, url: URL, address: Mapping[str, Any]) -> str:
        """Return the token to answer with. Raises _NoTokenError."""
        if self._config.app is None:
            assert self._config.token is not None
            return self._config.token.get_secret_value()
        installation, repository = address["installation"], address["repository"]
        if installation is None:
            detail = "the event names no installation of the app: configure its webhook in the GitHub App itself"
            raise _NoTokenError(Delivery(Receipt.REFUSED, detail, heard=False))
        place = (str(url.origin()), installation, repository)
        known = self._tokens.get(place)
        if known is None or known.until - _SPARE <= self._clock.now():
            known = self._tokens[place] = await self._new_token(url, self._config.app, installation, repository)
        return known.value

    async def _new_token(self, url: URL, app: App, installation: int, repository: int) -> _Token:
        """Get a token whose only right is to decide about deployments of this repository."""
        api = url.path.partition("/repos/")[0]
        where = url.with_path(f"{api}/app/installations/{installation}/access_tokens")
        jwt = await asyncio.to_thread(app_token, app, self._clock.now())
        body = {"repository_ids": [repository], "permissions": {"deployments": "write"}}
        try:
            status, headers, text = await self._send(where, jwt, body, keep=True)
        except (aiohttp.ClientError, OSError) as error:
            raise _NoTokenError(Delivery(Receipt.RETRY, why_unreached(error, _endpoint(url)), heard=False)) from error
        if status != 201:
            detail = f"no token for installation {installation}: {url.host} answered {status}{_quoted(text)}"
            raise _NoTokenError(Delivery(Receipt.RETRY, detail, self._wish(headers), heard=False))
        try:
            given = json.loads(text)
            return _Token(str(given["token"]), datetime.fromisoformat(given["expires_at"]))
        except (ValueError, KeyError, TypeError):
            detail = f"no token for installation {installation}: {url.host} gave something else"
            raise _NoTokenError(Delivery(Receipt.RETRY, detail, heard=False)) from None

    async def _send(
        self, url: URL, token: str, body: Mapping[str, Any], *, keep: bool = False
    ) -> tuple[int, Mapping[str, str], str]:
        """Send a request; return status, headers and text, which is shortened for people unless `keep` is set."""
        session = self._session or await self._open()
        headers = {**_HEADERS, "Authorization": f"Bearer {token}"}
        name = self._config.tls.server_name
        async with session.post(
            url, json=body, headers=headers, allow_redirects=False, server_hostname=name
        ) as response:
            text = (await response.content.read(_LONGEST_ANSWER)).decode("utf-8", "replace")
            return response.status, response.headers, text if keep else _quoted(text)

    async def _open(self) -> aiohttp.ClientSession:
        context = await asyncio.to_thread(self._config.tls.context)
        if self._session is None:  # nor has another call opened one meanwhile
            self._session = new_session(context)
        return self._session


def app_token(app: App, now: datetime) -> str:
    """Return a JSON Web Token, RS256, that authenticates a GitHub App; valid for nine minutes."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    seconds = int(now.timestamp())
    claims = {"iat": seconds - int(_SKEW), "exp": seconds + int(_JWT_SECONDS), "iss": app.id}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    key = load_pem_private_key(app.private_key.get_secret_value().encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    return f"{signed}.{_encoded(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _quoted(text: str) -> str:
    shown = excerpt(text, _SHOWN)
    return f": {shown}" if shown else ""


def _endpoint(url: URL) -> Endpoint:
    return Endpoint(url.host or "", url.port or 443)
