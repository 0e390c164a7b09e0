"""Keys that issuers of tokens (JWT) publish, and what is verified with them.

The keys are found by OpenID Connect Discovery 1.0, and fetched by the first caller who needs them. An issuer that does
not answer delays its own callers, bounded, and nobody else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from healthd.checks.trust import CAFileError, trust
from healthd.checks.unreachable import brief_of_any
from healthd.http.session import new_session
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.repeats import Repeats

if TYPE_CHECKING:
    from jwt import PyJWK

_log = structlog.get_logger(__name__)
_DISCOVERY = "/.well-known/openid-configuration"
_PATIENCE = 5.0  # seconds for both documents
_FRESH = 600.0  # seconds after which keys are fetched again: a key may have been taken back
_VALID = 86400.0  # seconds for which keys are believed while their issuer does not answer
_PAUSE = 15.0  # seconds between two attempts, whatever is presented meanwhile
_LARGEST = 256 * 1024  # bytes of a document
_MOST_KEYS = 100
_LEEWAY = 30.0  # seconds by which clocks may differ
_ASYMMETRIC = frozenset({"RSA", "EC", "OKP"})
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]


class NotVerifiedError(Exception):
    """The token proves nothing. `expired` says that it did once."""

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        super().__init__(reason)
        self.expired = expired


class KeysUnavailableError(Exception):
    """The documents of the issuer could not be fetched: nothing can be said of its tokens now."""


class UnusableError(Exception):
    """An answer of an issuer is not what the standard asks for."""


@dataclass(frozen=True, slots=True)
class Source:
    """Issuer, and what it takes to fetch its documents."""

    issuer: str
    ca_file: Path | None = None
    token_file: Path | None = None


@dataclass(slots=True)
class _Known:
    """Documents of one issuer. Times are of the steady clock."""

    discovered: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    fetched: float = float("-inf")
    tried: float = float("-inf")
    trouble: str = ""
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class IssuerKeys:
    """Issuers, and what they publish."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Source, _Known] = {}
        self._repeats = Repeats()

    def keep(self, sources: Iterable[Source]) -> None:
        """Forget all other issuers."""
        for gone in self._known.keys() - sources:
            del self._known[gone]

    async def prepare(self, source: Source, key_id: str = "") -> None:
        """Fetch the documents of an issuer, unless they are known and fresh and have this key. Never fails: those who
        need them are told what is missing."""
        known = self._known.setdefault(source, _Known())
        async with known.fetching:
            if not self._is_due(known, key_id):
                return
            known.tried = self._clock.steady()
            try:
                known.discovered, known.keys = await with_deadline(_PATIENCE, _fetch(source), name="keys of an issuer")
                known.fetched, known.trouble = self._clock.steady(), ""
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, CAFileError, UnusableError) as error:
                ours = isinstance(error, CAFileError | UnusableError)
                known.trouble = str(error) if ours else brief_of_any(error)
                if times := self._repeats.count(source.issuer):
                    _log.warning("keys of issuer not fetched", issuer=source.issuer, problem=known.trouble, times=times)

    def discovered(self, source: Source) -> Mapping[str, Any]:
        """Return the discovery document of an issuer. Raises KeysUnavailableError."""
        return self._valid(source).discovered

    def claims(self, source: Source, token: str, audiences: list[str]) -> dict[str, Any]:
        """Return the claims of a token once its signature, issuer, times and one of its audiences are right. Raises
        NotVerifiedError, KeysUnavailableError."""
        import jwt

        known = self._valid(source)
        key = known.keys.get(key_of(token)) or (next(iter(known.keys.values())) if _is_only(known, token) else None)
        if key is None:
            raise NotVerifiedError("its issuer has no key of that name")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                audience=audiences,
                issuer=source.issuer,
                leeway=_LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise NotVerifiedError("it has expired: ask for another one", expired=True) from None
        except jwt.InvalidAudienceError:
            wanted = ", ".join(sorted(set(audiences)))
            raise NotVerifiedError(f"it is for another audience; ask for one for {wanted}") from None
        except jwt.InvalidTokenError as error:
            raise NotVerifiedError(f"it does not hold: {error}") from None
        return claims

    def _valid(self, source: Source) -> _Known:
        known = self._known.get(source, _Known())
        if self._clock.steady() - known.fetched > _VALID:
            trouble = known.trouble or "not asked for yet"
            raise KeysUnavailableError(f"the keys of {source.issuer} are not known: {trouble}")
        return known

    def _is_due(self, known: _Known, key_id: str) -> bool:
        now = self._clock.steady()
        wanted = now - known.fetched > _FRESH or (key_id not in known.keys and bool(key_id))
        return wanted and now - known.tried >= _PAUSE


def key_of(token: str) -> str:
    """Return the name of the key that a token claims to be signed with."""
    import jwt

    try:
        return str(jwt.get_unverified_header(token).get("kid") or "")
    except (jwt.InvalidTokenError, RecursionError):
        return ""


def _is_only(known: _Known, token: str) -> bool:
    return len(known.keys) == 1 and not key_of(token)


async def _fetch(source: Source) -> tuple[dict[str, Any], dict[str, PyJWK]]:
    """Return the discovery document, and the keys by their names. Raises UnusableError and whatever the connection
    raises."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    context = await asyncio.to_thread(trust, source.ca_file)
    headers = {"Accept": "application/json"}
    if source.token_file is not None:
        token = await asyncio.to_thread(source.token_file.read_text, "utf-8")
        headers["Authorization"] = f"Bearer {token.strip()}"
    async with new_session(context, headers=headers) as session:
        document = await document_at(session, source.issuer.rstrip("/") + _DISCOVERY)
        if document.get("issuer") != source.issuer:
            raise UnusableError(f"its discovery document names the issuer {str(document.get('issuer'))[:200]!r}")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or urlsplit(address).scheme not in ("https", urlsplit(source.issuer).scheme):
            raise UnusableError("its discovery document names no jwks_uri with https://")
        listed = (await document_at(session, address)).get("keys")
    found: dict[str, PyJWK] = {}
    for each in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("kty") not in _ASYMMETRIC or each.get("use", "sig") != "sig":
            continue
        try:
            found[str(each.get("kid", ""))] = PyJWK(each)
        except (PyJWTError, ValueError, TypeError):  # of a kind or curve that this release does not know, or broken
            continue
    if not found:
        raise UnusableError("it publishes no key that signatures could be verified with")
    return document, found


async def document_at(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """Return a JSON object that an address answers with. Raises UnusableError."""
    async with session.get(address, allow_redirects=False) as response:
        if response.status != 200:
            raise UnusableError(f"{address} answers {response.status}")
        return await json_object(response, address)


async def json_object(response: aiohttp.ClientResponse, address: str) -> dict[str, Any]:
    """Return the JSON object that an answer holds. Raises UnusableError for anything else, and for a long one."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _LARGEST:
            raise UnusableError(f"{address} answers with more than {_LARGEST // 1024} KiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UnusableError(f"{address} answers {response.status} with no JSON object")
    return document
