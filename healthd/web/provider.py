"""Provider of OpenID Connect, as healthd asks it: where people sign in, and who has come back from there (OpenID
Connect Core 1.0, 3.1; RFC 7636 for PKCE)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp

from healthd.checks.trust import CAFileError, trust
from healthd.checks.unreachable import brief_of_any
from healthd.config.identity import texts_of
from healthd.config.sign_in import SignIn
from healthd.http.session import new_session
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.web.issuer_keys import (
    IssuerKeys,
    KeysUnavailableError,
    NotVerifiedError,
    Source,
    UnusableError,
    json_object,
    key_of,
)
from healthd.web.sessions import Attempt

_PATIENCE = 10.0  # seconds for all that has to be asked when a person comes back
_LONGEST_CODE = 4096
_LONGEST_TOLD = 200  # characters of an answer that people are shown


class ProviderAwayError(Exception):
    """The provider cannot be asked now."""


class NotProvenError(Exception):
    """The answer of the provider does not prove who the person is."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Contents of the provider's discovery document."""

    authorization: str
    token: str
    userinfo: str | None
    names_issuer: bool
    takes_basic: bool

    @classmethod
    def of(cls, document: Mapping[str, Any], issuer: str) -> Endpoints:
        """Read a document. Raises ProviderAwayError for one that lacks an address."""
        secure = ("https", urlsplit(issuer).scheme)
        found = {
            name: value
            for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
            if isinstance(value := document.get(name), str) and urlsplit(value).scheme in secure
        }
        if lacking := [name for name in ("authorization_endpoint", "token_endpoint") if name not in found]:
            raise ProviderAwayError(f"the discovery document of {issuer} names no {lacking[0]} with https://")
        methods = document.get("token_endpoint_auth_methods_supported")
        return cls(
            found["authorization_endpoint"],
            found["token_endpoint"],
            found.get("userinfo_endpoint"),
            document.get("authorization_response_iss_parameter_supported") is True,  # RFC 9207
            not isinstance(methods, list) or "client_secret_basic" in methods,
        )


class Provider:
    """The provider of the configuration in force."""

    def __init__(self, clock: Clock) -> None:
        self._keys = IssuerKeys(clock)

    async def endpoints(self, sign_in: SignIn) -> Endpoints:
        """Return where to ask. Raises ProviderAwayError."""
        source = _source(sign_in)
        self._keys.keep([source])
        await self._keys.prepare(source)
        try:
            return Endpoints.of(self._keys.discovered(source), sign_in.issuer)
        except KeysUnavailableError as error:
            raise ProviderAwayError(str(error)) from None

    def address(self, endpoints: Endpoints, sign_in: SignIn, attempt: Attempt, redirect_uri: str) -> str:
        """Return the address at which a person signs in."""
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": sign_in.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(sign_in.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(endpoints.authorization).query else "?"
        return f"{endpoints.authorization}{joint}{urlencode(asked)}"

    async def person(
        self, sign_in: SignIn, attempt: Attempt, answer: Mapping[str, str], redirect_uri: str
    ) -> dict[str, Any]:
        """Return the claims of the person who came back with an answer of the provider. Raises ProviderAwayError,
        NotProvenError."""
        endpoints = await self.endpoints(sign_in)
        code = _code_of(answer, sign_in, endpoints)
        try:
            asking = self._ask(endpoints, sign_in, attempt, code, redirect_uri)
            return await with_deadline(_PATIENCE, asking, name="sign-in")
        except (UnusableError, CAFileError, KeysUnavailableError) as error:
            raise ProviderAwayError(str(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderAwayError(f"{sign_in.issuer}: {brief_of_any(error)}") from None

    async def _ask(
        self, endpoints: Endpoints, sign_in: SignIn, attempt: Attempt, code: str, redirect_uri: str
    ) -> dict[str, Any]:
        context = await asyncio.to_thread(trust, sign_in.ca_file)
        async with new_session(context, headers={"Accept": "application/json"}) as session:
            given = await _exchange(session, endpoints, sign_in, attempt, code, redirect_uri)
            token = given.get("id_token")
            if not isinstance(token, str):
                raise NotProvenError("the provider gave no ID token: is the client one of OpenID Connect?")
            claims = await self._verified(sign_in, token, attempt.nonce)
            if endpoints.userinfo is not None and isinstance(access := given.get("access_token"), str):
                claims = await _more(session, endpoints.userinfo, access, claims)
        return _without_unverified_email(claims)

    async def _verified(self, sign_in: SignIn, token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token (Core, 3.1.3.7). Raises NotProvenError, KeysUnavailableError."""
        source = _source(sign_in)
        await self._keys.prepare(source, key_of(token))
        try:
            claims = self._keys.claims(source, token, [sign_in.client_id])
        except NotVerifiedError as error:
            raise NotProvenError(f"its ID token is not accepted: {error}") from None
        party = claims.get("azp")
        if party != sign_in.client_id and (party is not None or len(texts_of(claims, "aud")) > 1):
            raise NotProvenError("its ID token is for another client: azp is not auth.sign_in.client_id")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise NotProvenError("its ID token answers another request: nonce is not the one that was sent")
        return claims


def _code_of(answer: Mapping[str, str], sign_in: SignIn, endpoints: Endpoints) -> str:
    """Return the code of an answer. Raises NotProvenError for one of another issuer (RFC 9207, 2.4), and for an
    error."""
    if answer.get("iss", "" if endpoints.names_issuer else sign_in.issuer) != sign_in.issuer:
        raise NotProvenError("the answer comes from another issuer than auth.sign_in.issuer")
    if "error" in answer:
        raise NotProvenError(f"the provider says {_said_by(answer)}")
    code = answer.get("code", "")
    if not 0 < len(code) <= _LONGEST_CODE:
        raise NotProvenError("the provider sent no code")
    return code


def _source(sign_in: SignIn) -> Source:
    return Source(sign_in.issuer, sign_in.ca_file)


async def _exchange(
    session: aiohttp.ClientSession,
    endpoints: Endpoints,
    sign_in: SignIn,
    attempt: Attempt,
    code: str,
    redirect_uri: str,
) -> dict[str, Any]:
    """Return the tokens that a code is worth. Raises NotProvenError."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    form |= {"code_verifier": attempt.verifier}
    headers = {}
    secret = sign_in.client_secret.get_secret_value() if sign_in.client_secret is not None else None
    if secret is not None and endpoints.takes_basic:
        # RFC 6749, 2.3.1: both are encoded as in a form first.
        pair = f"{quote_plus(sign_in.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        form |= {"client_id": sign_in.client_id} | ({"client_secret": secret} if secret is not None else {})
    async with session.post(endpoints.token, data=form, headers=headers, allow_redirects=False) as response:
        answer = await json_object(response, endpoints.token)
        if response.status >= 500:
            raise UnusableError(f"{endpoints.token} answers {response.status}")
        if response.status != 200:
            raise NotProvenError(f"the provider refuses the code: {_said_by(answer) or response.status}")
    return answer


async def _more(
    session: aiohttp.ClientSession, address: str, access_token: str, claims: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the claims together with those of the UserInfo endpoint, where some providers keep most of them (Core,
    5.3). What was signed takes precedence."""
    headers = {"Authorization": f"Bearer {access_token}"}
    async with session.get(address, headers=headers, allow_redirects=False) as response:
        if response.status != 200:
            raise UnusableError(f"{address} answers {response.status}")
        more = await json_object(response, address)
    if more.get("sub") != claims["sub"]:
        raise NotProvenError("its UserInfo endpoint tells of somebody else: sub is not that of the ID token")
    return {**more, **claims}


def _without_unverified_email(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims without an e-mail address that anybody could have written there."""
    verified = claims.get("email_verified") in (True, "true")  # some send a text
    return {name: value for name, value in claims.items() if verified or name != "email"}


def _said_by(answer: Mapping[str, Any]) -> str:
    """Return an error of OAuth 2.0 as a line for people (RFC 6749, 4.1.2.1 and 5.2)."""
    parts = [str(answer[name]) for name in ("error", "error_description") if answer.get(name)]
    told = ": ".join(parts)[:_LONGEST_TOLD]
    return "".join(each if each.isprintable() else " " for each in told)
