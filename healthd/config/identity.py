"""Models of workloads that identify themselves by a token of their platform, a pipeline or a pod, and of what they have
in common with people who sign in: an issuer vouches for both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from healthd.config.auth_grant import Grant
from healthd.labels import matches
from healthd.units import Names


def _issuer_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host and "://" not in url and re.fullmatch(r"[\w.-]+\.[a-z]{2,}(/.*)?", url):
        raise ValueError(f"must begin with https://: write https://{url}")
    if not host or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("write the issuer as its tokens name it: https://token.actions.githubusercontent.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost")):
        raise ValueError("must begin with https://: keys that come in clear text could be anybody's")
    return url


Issuer = Annotated[str, AfterValidator(_issuer_address)]
"""Address of an issuer, as its tokens name it."""


class ClaimedGrant(Grant):
    """Rights of those whose tokens have certain claims."""

    claims: dict[str, Names] = Field(min_length=1)
    """Claims that a token must have, each with one of these values; `*` matches any text. A slash leads into a nested
    claim: `kubernetes.io/namespace`, `https://sts.amazonaws.com//aws_account`."""

    @model_validator(mode="after")
    def _excludes_strangers(self) -> Self:
        if all(set(pattern) <= {"*"} for patterns in self.claims.values() for pattern in patterns):
            raise ValueError(
                "claims lets in every token of this issuer: name a repository, a group, an email or a subject"
            )
        return self

    def mismatches(self, claims: Mapping[str, Any]) -> list[str]:
        """Return the names of the claims that do not have the wanted values."""
        return [
            name
            for name, patterns in self.claims.items()
            if not any(matches(text, patterns) for text in texts_of(claims, name))
        ]


class Identity(ClaimedGrant):
    """Workloads whose tokens (JWT) an issuer signs and whose claims have these values."""

    issuer: Issuer
    """Issuer of the tokens, exactly as in their claim `iss`; its keys are found by OpenID Connect discovery."""
    audience: str = Field(min_length=1, max_length=500)
    """Audience that a token must be for, in its claim `aud`: the address of this daemon."""
    ca_file: Path | None = None
    """Authorities that the issuer's certificate is verified with, as a PEM file; those of the system by default."""
    token_file: Path | None = None
    """File with a bearer token to fetch the issuer's keys with, as an API server of Kubernetes asks for."""


def _value(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim, perhaps a nested one; None if it is absent. A name may have slashes itself, as AWS's
    `https://sts.amazonaws.com/` does: the longest that is there counts."""
    if name in claims:
        return claims[name]
    places = [place for place, letter in enumerate(name) if letter == "/"]
    for place in reversed(places):
        inner = claims.get(name[:place])
        if isinstance(inner, Mapping):
            return _value(inner, name[place + 1 :])
    return None


def texts_of(claims: Mapping[str, Any], name: str) -> list[str]:
    """Return the values of a claim as texts: several for a list, none if it is absent."""
    value = _value(claims, name)
    if value is None or isinstance(value, Mapping):
        return []
    several = value if isinstance(value, list) else [value]
    return [
        str(it).lower() if isinstance(it, bool) else str(it) for it in several if not isinstance(it, Mapping | list)
    ]
