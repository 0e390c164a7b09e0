"""Tokens (JWT) that other platforms sign, verified with the keys that their issuer publishes.

The keys are fetched by OpenID Connect Discovery 1.0, by the first caller who needs them. An issuer that does not answer
delays its own callers, bounded, and nobody else.
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
from healthd.config.identity import Identity, texts_of
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
    """The keys of the issuer could not be fetched: nothing can be said of its tokens now."""


class _UnusableError(Exception):
    """An answer of an issuer is not what the standard asks for."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Place of the keys."""

    issuer: str
    ca_file: Path | None
    token_file: Path | None


@dataclass(slots=True)
class _Known:
    """Keys of one issuer. Times are of the steady clock."""

    keys: Mapping[str, PyJWK] = field(default_factory=dict)
    fetched: float = float("-inf")
    tried: float = float("-inf")
    trouble: str = ""
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


def is_jwt(token: str) -> bool:
    """True if a text has the form of a signed token: three parts of base64, the first of which is a JSON object."""
    return token.startswith("ey") and token.count(".") == 2


class Issuers:
    """Issuers whose tokens count, and their keys."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[_Source, _Known] = {}
        self._repeats = Repeats()

    async def prepare(self, token: str, identities: Iterable[Identity]) -> None:
        """Fetch the keys that this token needs, unless they are known. Never fails: `verify` says what is missing."""
        sources: dict[str, _Source] = {}
        for identity in identities:
            sources.setdefault(identity.issuer, _source(identity))  # of several the first one, as `verify` does
        for gone in self._known.keys() - sources.values():
            del self._known[gone]
        await asyncio.to_thread(_import_jwt)  # takes a tenth of a second, once
        source, key_id = sources.get(_issuer_of(token)), _key_of(token)
        if source is None:
            return
        known = self._known.setdefault(source, _Known())
        async with known.fetching:
            if not self._is_due(known, key_id):
                return
            known.tried = self._clock.steady()
            try:
                known.keys = await with_deadline(_PATIENCE, _fetch(source), name="keys of an issuer")
                known.fetched, known.trouble = self._clock.steady(), ""
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, CAFileError, _UnusableError) as error:
                ours = isinstance(error, CAFileError | _UnusableError)
                known.trouble = str(error) if ours else brief_of_any(error)
                if times := self._repeats.count(source.issuer):
                    _log.warning("keys of issuer not fetched", issuer=source.issuer, problem=known.trouble, times=times)

    def verify(self, token: str, identities: Iterable[Identity]) -> tuple[Identity, str]:
        """Return the workload and the subject of a token. Raises NotVerifiedError, KeysUnavailableError."""
        identities = tuple(identities)
        issuer = _issuer_of(token)
        mine = [identity for identity in identities if identity.issuer == issuer]
        if not mine:
            raise NotVerifiedError("its issuer is none of those under auth.identities")
        claims = self._claims(token, mine)
        audiences = texts_of(claims, "aud")
        meant = [identity for identity in mine if identity.audience in audiences]
        wrong = [(identity.mismatches(claims), identity) for identity in meant]
        for missing, identity in wrong:
            if not missing:
                return identity, str(claims["sub"])
        closest = min((missing for missing, _ in wrong), key=len)
        said = ", ".join(f"{name} is {_shown(claims, name)}" for name in closest)
        raise NotVerifiedError(f"it is none of those under auth.identities: {said}")

    def _claims(self, token: str, identities: list[Identity]) -> dict[str, Any]:
        """Return the claims once signature, issuer, audience and times are right."""
        import jwt

        issuer = identities[0].issuer
        known = self._known.get(_source(identities[0]), _Known())
        if self._clock.steady() - known.fetched > _VALID:
            raise KeysUnavailableError(f"the keys of {issuer} are not known: {known.trouble or 'not asked for yet'}")
        key = known.keys.get(_key_of(token)) or (next(iter(known.keys.values())) if _is_only(known, token) else None)
        if key is None:
            raise NotVerifiedError("its issuer has no key of that name")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                audience=[identity.audience for identity in identities],
                issuer=issuer,
                leeway=_LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise NotVerifiedError("it has expired: have its platform make another", expired=True) from None
        except jwt.InvalidAudienceError:
            wanted = ", ".join(sorted({identity.audience for identity in identities}))
            raise NotVerifiedError(f"it is for another audience; ask its platform for one for {wanted}") from None
        except jwt.InvalidTokenError as error:
            raise NotVerifiedError(f"it does not hold: {error}") from None
        return claims

    def _is_due(self, known: _Known, key_id: str) -> bool:
        now = self._clock.steady()
        wanted = now - known.fetched > _FRESH or (key_id not in known.keys and bool(key_id))
        return wanted and now - known.tried >= _PAUSE


def _source(identity: Identity) -> _Source:
    return _Source(identity.issuer, identity.ca_file, identity.token_file)


def _import_jwt() -> None:
    import jwt  # noqa: F401


def _issuer_of(token: str) -> str:
    """Return the issuer that a token claims to be of; nothing is verified yet."""
    import jwt

    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
    except (jwt.InvalidTokenError, RecursionError):
        return ""


def _key_of(token: str) -> str:
    """Return the name of the key that a token claims to be signed with."""
    import jwt

    try:
        return str(jwt.get_unverified_header(token).get("kid") or "")
    except (jwt.InvalidTokenError, RecursionError):
        return ""


def _is_only(known: _Known, token: str) -> bool:
    return len(known.keys) == 1 and not _key_of(token)


def _shown(claims: Mapping[str, Any], name: str) -> str:
    texts = texts_of(claims, name)
    return ", ".join(repr(text[:100]) for text in texts[:5]) if texts else "missing"


async def _fetch(source: _Source) -> dict[str, PyJWK]:
    """Return the keys by their names. Raises _UnusableError and whatever the connection raises."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWKError

    context = await asyncio.to_thread(trust, source.ca_file)
    headers = {"Accept": "application/json"}
    if source.token_file is not None:
        token = await asyncio.to_thread(source.token_file.read_text, "utf-8")
        headers["Authorization"] = f"Bearer {token.strip()}"
    async with new_session(context, headers=headers) as session:
        document = await _document(session, source.issuer.rstrip("/") + _DISCOVERY)
        if document.get("issuer") != source.issuer:
            raise _UnusableError(f"its discovery document names the issuer {str(document.get('issuer'))[:200]!r}")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or urlsplit(address).scheme not in ("https", urlsplit(source.issuer).scheme):
            raise _UnusableError("its discovery document names no jwks_uri with https://")
        listed = (await _document(session, address)).get("keys")
    found: dict[str, PyJWK] = {}
    for each in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("kty") not in _ASYMMETRIC or each.get("use", "sig") != "sig":
            continue
        try:
            found[str(each.get("kid", ""))] = PyJWK(each)
        except (PyJWKError, ValueError, TypeError):  # of a kind that this release does not know
            continue
    if not found:
        raise _UnusableError("it publishes no key that signatures could be verified with")
    return found


async def _document(session: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """Return a JSON object that an address answers with."""
    async with session.get(address, allow_redirects=False) as response:
        if response.status != 200:
            raise _UnusableError(f"{address} answers {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(65536):
            body += chunk
            if len(body) > _LARGEST:
                raise _UnusableError(f"{address} answers with more than {_LARGEST // 1024} KiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _UnusableError(f"{address} answers with no JSON object")
    return document
