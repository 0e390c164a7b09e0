"""Models of the callers: tokens, workloads that need none, and people who sign in."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Self

from pydantic import SecretStr, model_validator

from healthd.config.auth_grant import Grant
from healthd.config.identity import Identity
from healthd.config.model import Model
from healthd.config.sign_in import SignIn
from healthd.labels import matches
from healthd.units import Time


class Token(Grant):
    """Token of a caller."""

    hash: SecretStr
    """Hash that `healthd token new` printed for the token; the token itself is stored nowhere."""
    expires: Time | None = None
    """Time from which it is refused: ISO 8601 with a time zone; never by default."""

    @model_validator(mode="after")
    def _hash_is_one(self) -> Self:
        text = self.hash.get_secret_value()
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
            raise ValueError("hash is not a token's hash: `healthd token new` prints one")
        return self

    def has_expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


class Auth(Model):
    tokens: tuple[Token, ...] = ()
    """Tokens of the callers."""
    identities: tuple[Identity, ...] = ()
    """Workloads that identify themselves by a token of their platform: GitHub Actions, GitLab CI, Kubernetes, AWS."""
    sign_in: SignIn | None = None
    """Sign-in of people to the pages by OpenID Connect: Google, Okta, Entra, Keycloak and others."""
    trust_loopback: bool = False
    """True if direct callers on this host may read without a token. Behind a proxy on the same host every caller may
    appear to be on this host; so changes always need a token."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what, grants in (("tokens", self.tokens), ("tokens, identities or people", self.grants)):
            if len({grant.name for grant in grants}) < len(grants):
                raise ValueError(f"two {what} have the same name: audit could not tell them apart")
        return self

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Rights of all callers."""
        return (*self.tokens, *self.identities, *(self.sign_in.people if self.sign_in is not None else ()))

    def strangers(self, section: str, known: Collection[str]) -> list[tuple[str, str]]:
        """Return each caller that is bound to a name, or a pattern, that nothing has, with it."""
        return [
            (caller.name, name)
            for caller in self.grants
            for name in getattr(caller, section)
            if name not in known and not any(matches(each, (name,)) for each in known)
        ]
