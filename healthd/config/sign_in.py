"""Models of people who sign in to the pages by OpenID Connect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from healthd.config.identity import ClaimedGrant, Issuer
from healthd.config.model import Model
from healthd.units import Duration, Names

_LIBRARIES = ("jwt", "cryptography.fernet", "cryptography.hazmat.primitives.kdf.hkdf")
_SHORTEST_SECRET = 32
NO_SESSION_SECRET = "session_secret is missing: sessions end with this process, and no other replica knows them"
LONGEST_SESSION = 30 * 86400.0  # seconds
_SHORTEST_SESSION = 60.0


class People(ClaimedGrant):
    """People to whom the provider gives these claims."""

    @property
    def mark(self) -> str:
        """Text that changes with the claims: a session counts only while those under which it began are asked for."""
        wanted = sorted((name, sorted(patterns)) for name, patterns in self.claims.items())
        return hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]


class SignIn(Model):
    """Sign-in of people by a provider of OpenID Connect."""

    issuer: Issuer
    """Issuer, exactly as its discovery document names it; what else is needed is found there."""
    client_id: str = Field(min_length=1, max_length=500)
    """Id of healthd as a client of the provider. Its redirect address there is `http.external_url` and
    `/sign-in/callback`."""
    client_secret: SecretStr | None = None
    """Secret of the client; a public client, which the provider knows by PKCE alone, has none."""
    session_secret: SecretStr | None = None
    """Secret that sessions are sealed with, the same on every replica: `openssl rand -hex 32` makes one, and a new one
    ends all sessions. Without it sessions end with the process, and no other replica knows them."""
    scopes: Names = ("openid", "profile", "email")
    """Scopes to ask for; some providers give groups only for a scope of their own."""
    name_claim: str = Field("email", min_length=1, max_length=100)
    """Claim that is shown as the person's name, in the audit too. It should be one that people cannot choose
    themselves. `email`, here and in `claims`, counts only if the provider has verified it."""
    session: Duration = Field(8 * 3600.0, ge=_SHORTEST_SESSION, le=LONGEST_SESSION)
    """Time after which a person has to sign in again."""
    ca_file: Path | None = None
    """Authorities that the provider's certificate is verified with, as a PEM file; those of the system by default."""
    people: tuple[People, ...] = Field(min_length=1)
    """Rights by claims. Of several entries that fit a person the first counts; who fits none is refused."""

    @field_validator("scopes")
    @classmethod
    def _asks_for_identity(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("must contain openid: without it the provider says nothing of who signs in")
        if strange := [scope for scope in scopes if not scope or not set(scope) <= _IN_A_SCOPE]:
            raise ValueError(f"{strange[0]!r} is no scope: write each as an item of the list")
        return scopes

    @field_validator("client_secret", "session_secret", mode="before")
    @classmethod
    def _none_if_empty(cls, secret: Any) -> Any:
        return None if secret == "" else secret

    @field_validator("session_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(
                f"must have at least {_SHORTEST_SECRET} characters: `openssl rand -hex 32` makes one; who guesses it "
                "is signed in as anybody"
            )
        return secret

    @model_validator(mode="after")
    def _secrets_differ(self) -> Self:
        if self.session_secret is not None and self.client_secret == self.session_secret:
            raise ValueError("session_secret is the client_secret, which the provider knows: make one of its own")
        for library in _LIBRARIES:  # in the thread that reads the configuration, for the event loop would wait
            import_module(library)
        return self

    def who(self, claims: Mapping[str, Any], environment: str) -> People | None:
        """Return the first entry that fits, among those valid in an environment."""
        return next((it for it in self.valid_in(environment) if not it.mismatches(claims)), None)

    def valid_in(self, environment: str) -> Iterable[People]:
        return (it for it in self.people if it.holds_in(environment))


def refuse_unreachable(external_url: str | None) -> None:
    """Raise ValueError without an address to which the provider may send people back."""
    if external_url is None:
        raise ValueError("sign_in needs http.external_url: the provider sends people back to it, and to no other")
    parts = urlsplit(external_url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("sign_in needs an http.external_url with https://: a session in clear text is anybody's")


_IN_A_SCOPE = frozenset(map(chr, range(0x21, 0x7F))) - {'"', "\\"}  # RFC 6749, 3.3
