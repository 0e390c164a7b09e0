"""Tokens (JWT) that other platforms sign for their workloads, verified with the keys that their issuer publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from healthd.config.identity import Identity, texts_of
from healthd.runtime.clock import Clock
from healthd.web.issuer_keys import IssuerKeys, NotVerifiedError, Source, key_of


def is_jwt(token: str) -> bool:
    """True if a text has the form of a signed token: three parts of base64, the first of which is a JSON object."""
    return token.startswith("ey") and token.count(".") == 2


class Issuers:
    """Issuers whose tokens count."""

    def __init__(self, clock: Clock) -> None:
        self._keys = IssuerKeys(clock)

    async def prepare(self, token: str, identities: Iterable[Identity]) -> None:
        """Fetch the keys that this token needs, unless they are known. Never fails: `verify` says what is missing."""
        sources: dict[str, Source] = {}
        for identity in identities:
            sources.setdefault(identity.issuer, _source(identity))  # of several the first one, as `verify` does
        self._keys.keep(sources.values())
        await asyncio.to_thread(_import_jwt)  # takes a tenth of a second, once
        if (source := sources.get(_issuer_of(token))) is not None:
            await self._keys.prepare(source, key_of(token))

    def verify(self, token: str, identities: Iterable[Identity]) -> tuple[Identity, str]:
        """Return the workload and the subject of a token. Raises NotVerifiedError, KeysUnavailableError."""
        identities = tuple(identities)
        issuer = _issuer_of(token)
        mine = [identity for identity in identities if identity.issuer == issuer]
        if not mine:
            raise NotVerifiedError("its issuer is none of those under auth.identities")
        claims = self._keys.claims(_source(mine[0]), token, [identity.audience for identity in mine])
        audiences = texts_of(claims, "aud")
        meant = [identity for identity in mine if identity.audience in audiences]
        wrong = [(identity.mismatches(claims), identity) for identity in meant]
        for missing, identity in wrong:
            if not missing:
                return identity, str(claims["sub"])
        closest = min((missing for missing, _ in wrong), key=len)
        said = ", ".join(f"{name} is {shown(claims, name)}" for name in closest)
        raise NotVerifiedError(f"it is none of those under auth.identities: {said}")


def _source(identity: Identity) -> Source:
    return Source(identity.issuer, identity.ca_file, identity.token_file)


def _import_jwt() -> None:
    import jwt  # noqa: F401


def _issuer_of(token: str) -> str:
    """Return the issuer that a token claims to be of; nothing is verified yet."""
    import jwt

    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
    except (jwt.InvalidTokenError, RecursionError):
        return ""


def shown(claims: Mapping[str, Any], name: str) -> str:
    texts = texts_of(claims, name)
    return ", ".join(repr(text[:100]) for text in texts[:5]) if texts else "missing"
