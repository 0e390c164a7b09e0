"""A provider of OpenID Connect, as strict as the originals, where people sign in to the pages.

What it keeps of them, and where that was read:

- A client or a redirect_uri that is not registered, character for character, is answered with a page and never with a
  redirect (RFC 6749, 3.1.2.4; OAuth 2.0 Security BCP, RFC 9700, 2.1).
- response_type is `code`, scope contains `openid`, no parameter is there twice (RFC 6749, 3.1); what is wrong is sent
  back as `error` with `state` (4.1.2.1) and `iss` (RFC 9207).
- PKCE is a must, by S256, of 43 to 128 characters (RFC 7636, 4.1 to 4.3).
- A code is good once, for a minute, for the client and the redirect_uri that it was given to (RFC 6749, 4.1.3).
- A client proves itself in the one way that it is registered with, and not in two at once (2.3); in HTTP Basic, id and
  secret are encoded as in a form first (2.3.1). A wrong secret is 401 `invalid_client` (5.2).
- The ID token has iss, sub, aud, exp, iat and the nonce of the request (Core 1.0, 2 and 3.1.3.6).
- The UserInfo endpoint wants the access token as Bearer and answers JSON with the same `sub` (5.3); claims of scopes
  are there alone, as with panva's oidc-provider and Okta, where `at_userinfo` names them.

It misbehaves on demand: `lies` are claims that are false, `forge` makes a whole ID token.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.servers.ports import free_port

ADA: dict[str, Any] = {
    "sub": "248289761001",
    "email": "ada@example.com",
    "email_verified": True,
    "preferred_username": "ada",
    "groups": ["sre", "staff"],
}
BOB: dict[str, Any] = {**ADA, "sub": "77", "email": "bob@example.com", "preferred_username": "bob", "groups": ["staff"]}
SECRET = "s3cret/with +odd:%characters=of-32"
_BASE64URL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_UNRESERVED = _BASE64URL | set(".~")


@dataclass(slots=True)
class _Grant:
    """What a code stands for."""

    redirect_uri: str
    challenge: str
    nonce: str | None
    claims: dict[str, Any]
    at: float
    used: bool = False


class Provider:
    """The provider, on a port of its own. `asked` are the paths that were asked for, `refused` why a client was."""

    def __init__(self, method: str = "client_secret_basic") -> None:
        self.client_id, self.secret, self.method = "healthd pages", SECRET, method
        self.redirect_uris: set[str] = set()
        self.person: dict[str, Any] | None = dict(ADA)  # who has a session there; with None a page asks who it is
        self.keys: dict[str, Any] = {"one": _rsa()}
        self.at_userinfo: Iterable[str] = ()
        self.lies: dict[str, Any] = {}
        self.forge: Callable[[dict[str, Any]], str] | None = None
        self.userinfo_sub: str | None = None
        self.error: str | None = None
        self.status = 200  # of every answer
        self.asked: list[str] = []
        self.refused: list[str] = []
        self._codes: dict[str, _Grant] = {}
        self._access: dict[str, dict[str, Any]] = {}
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._document)
        app.router.add_get("/keys", self._published)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/userinfo", self._userinfo)
        app.middlewares.append(self._counting)
        self._server = TestServer(app, port=free_port())

    async def __aenter__(self) -> Provider:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def rotate(self) -> None:
        self.keys = {"two": ec.generate_private_key(ec.SECP256R1())}

    def signed(self, claims: Mapping[str, Any], key: str | None = None) -> str:
        name, private = next(iter(self.keys.items()))
        algorithm = "ES256" if isinstance(private, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(dict(claims), private, algorithm, headers={"kid": key or name})

    @web.middleware
    async def _counting(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.status != 200:
            return web.Response(status=self.status, text="a page of a balancer's")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _document(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "token_endpoint_auth_methods_supported": [self.method],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _published(self, _: web.Request) -> web.Response:
        keys: list[dict[str, Any]] = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}]
        for name, private in self.keys.items():
            is_ec = isinstance(private, ec.EllipticCurvePrivateKey)
            made = (ECAlgorithm if is_ec else RSAAlgorithm).to_jwk(private.public_key(), as_dict=True)
            keys.append({**made, "kid": name, "use": "sig", "alg": "ES256" if is_ec else "RS256"})
        return web.json_response({"keys": keys})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = request.query
        uri = asked.get("redirect_uri", "")
        if asked.get("client_id") != self.client_id or uri not in self.redirect_uris:
            return self._page(f"unknown client or redirect_uri {uri}", 400)
        if wrong := self._wrong(request):
            return self._back(uri, request, error="invalid_request", error_description=wrong)
        if self.error is not None:
            return self._back(uri, request, error=self.error, error_description="said <b>the</b> provider")
        person = self.person
        if request.method == "POST":
            person = {"ada": ADA, "bob": BOB}[str((await request.post())["who"])]
        if person is None:
            return self._page("Who are you?")
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Grant(uri, asked["code_challenge"], asked.get("nonce"), dict(person), time.monotonic())
        return self._back(uri, request, code=code)

    def _wrong(self, request: web.Request) -> str:
        asked, challenge = request.query, request.query.get("code_challenge", "")
        if len(set(asked)) < len(asked):
            return "a parameter is there twice"
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return "response_type must be code, and scope contain openid"
        if asked.get("code_challenge_method") != "S256" or len(challenge) != 43 or not set(challenge) <= _BASE64URL:
            return "code_challenge must be one of S256"
        return "" if asked.get("state") and asked.get("nonce") else "state or nonce is missing"

    def _back(self, uri: str, request: web.Request, **answer: str) -> web.Response:
        if "error" in answer:
            self.refused.append(answer["error_description"])
        answer |= {"state": request.query.get("state", ""), "iss": self.url}
        return web.Response(status=303, headers={"Location": f"{uri}?{urlencode(answer)}"})

    def _page(self, title: str, status: int = 200) -> web.Response:
        form = (
            '<form method="post"><button name="who" value="ada">Ada</button><button name="who" value="bob">Bob</button>'
        )
        icon = '<link rel="icon" href="data:,">'  # or a browser asks for one
        text = f"<!doctype html><title>{html.escape(title)}</title>{icon}<h1>{html.escape(title)}</h1>{form}</form>"
        return web.Response(status=status, text=text, content_type="text/html")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        given = {name: str(value) for name, value in form.items()}
        if request.content_type != "application/x-www-form-urlencoded" or request.query or len(given) < len(form):
            return self._no("invalid_request", "no form, or a parameter is there twice")
        if not self._knows(request, given):
            return self._no("invalid_client", "the client does not prove itself as registered", 401)
        if given.get("grant_type") != "authorization_code":
            return self._no("unsupported_grant_type", "")
        grant, verifier = self._codes.get(given.get("code", "")), given.get("code_verifier", "")
        if (
            grant is None
            or grant.used
            or time.monotonic() - grant.at > 60
            or grant.redirect_uri != given["redirect_uri"]
        ):
            return self._no("invalid_grant", "the code is used, too old, or of another redirect_uri")
        grant.used = True
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if not 43 <= len(verifier) <= 128 or not set(verifier) <= _UNRESERVED or digest != grant.challenge:
            return self._no("invalid_grant", "code_verifier is not that of code_challenge")
        access = secrets.token_urlsafe(24)
        self._access[access] = {name: grant.claims[name] for name in self.at_userinfo} | {"sub": grant.claims["sub"]}
        body = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": self._id_token(grant)}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    def _id_token(self, grant: _Grant) -> str:
        now = int(time.time())
        own = {name: value for name, value in grant.claims.items() if name not in self.at_userinfo}
        times = {"iat": now, "exp": now + 300}
        claims = {"iss": self.url, "aud": self.client_id, **times, "nonce": grant.nonce, **own, **self.lies}
        told = {name: value for name, value in claims.items() if value is not None}
        return self.forge(told) if self.forge is not None else self.signed(told)

    def _knows(self, request: web.Request, form: Mapping[str, str]) -> bool:
        """True if a client proves itself in the way that it is registered with, and in no other."""
        header = request.headers.get("Authorization", "")
        in_form = (form.get("client_id"), form.get("client_secret"))
        if self.method == "client_secret_basic":
            kind, _, pair = header.partition(" ")
            name, _, secret = base64.b64decode(pair).decode().partition(":")
            told = (unquote_plus(name), unquote_plus(secret))
            return kind.lower() == "basic" and told == (self.client_id, self.secret) and in_form[1] is None
        wanted = self.secret if self.method == "client_secret_post" else None
        return not header and in_form == (self.client_id, wanted)

    def _no(self, error: str, why: str, status: int = 400) -> web.Response:
        self.refused.append(f"{error}: {why}")
        headers = {"WWW-Authenticate": "Basic"} if status == 401 else {}
        return web.json_response({"error": error, "error_description": why}, status=status, headers=headers)

    async def _userinfo(self, request: web.Request) -> web.Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self._access:
            return web.Response(status=401)
        told = dict(self._access[token])
        return web.json_response(told | ({"sub": self.userinfo_sub} if self.userinfo_sub else {}))


@lru_cache(maxsize=1)  # it takes long to make one
def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
