"""Authorisation: tokens with scopes, stored as hashes.

A token is sent as `Authorization: Bearer`. A browser may send it as the password of HTTP Basic, only for reading: a
browser sends it automatically, so any page that it visits could otherwise change something.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address

from aiohttp import HttpVersion11, hdrs, web
from multidict import istr

from healthd.config.auth import Token
from healthd.config.auth_grant import Grant
from healthd.config.identity import Identity
from healthd.config.in_force import Current
from healthd.config.listen_address import split_address
from healthd.config.reach import Reach
from healthd.config.settings import Settings
from healthd.runtime.clock import Clock, SystemClock
from healthd.units import stamp
from healthd.web.issuers import Issuers, KeysUnavailableError, NotVerifiedError, is_jwt
from healthd.web.problems import Problem
from healthd.web.refusals import Reason, Refusals

_SEC_FETCH_SITE = istr("Sec-Fetch-Site")
# Headers of proxies and content delivery networks, and the origin that a browser sends for a page.
_FORWARDING = (
    *(hdrs.FORWARDED, hdrs.ORIGIN, hdrs.VIA, hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST, hdrs.X_FORWARDED_PROTO),
    *map(
        istr, ("X-Forwarded-By", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Forwarded-Server")
    ),
    *map(istr, ("X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "True-Client-IP")),
    *map(istr, ("CDN-Loop", "CF-Connecting-IP", "CF-Ray", "Fastly-Client-IP", "Fly-Client-IP", "X-Azure-ClientIP")),
    *map(istr, ("X-Amzn-Trace-Id", "X-Appengine-User-IP", "X-Envoy-External-Address", "X-Original-URL")),
)
_NO_TOKEN = "no token is configured: put one under auth.tokens (`healthd token new` makes it)"
_UNKNOWN = "this token is not known: no hash under auth.tokens is its own"
_UNPRINTABLE = re.compile(r"[^ -~]")
_LONGEST_SUBJECT = 200
_FORM = "send `Authorization: Bearer TOKEN`"


def new_token() -> tuple[str, str]:
    """Return a fresh token and the hash to put into the configuration.

    The token has 256 random bits, so one SHA-256 is as strong as a slow password hash and costs nothing per request.
    """
    token = "hd_" + secrets.token_urlsafe(32)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """Return the hash of a token; of any text that a caller may have sent, even with lone surrogates."""
    return "sha256:" + hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of a request. `name` is written to the audit."""

    name: str
    scopes: frozenset[str]
    hooks: frozenset[str] | None = None  # all by default
    reach: Reach | None = None  # everything by default

    def opens(self, hook: str) -> bool:
        return self.hooks is None or hook in self.hooks

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def beyond_reach(self, what: str) -> Problem:
        """Return the refusal of something that the caller may change elsewhere, but not here."""
        return Problem(403, "Forbidden", f"token {self.name!r} may not change {what}: it is bound to {self.reach}")


_THIS_HOST = Caller("loopback", frozenset({"health:read", "gates:read"}))


class Guard:
    """Identifies callers by the configuration in force. Direct callers on this host may be trusted to read, never to
    change anything: not every proxy adds a header."""

    def __init__(
        self, settings: Current[Settings], refused: Refusals | None = None, clock: Clock | None = None
    ) -> None:
        self.refused = refused or Refusals()
        self._settings, self._clock = settings, clock or SystemClock()
        self._issuers = Issuers(self._clock)

    @property
    def _tokens(self) -> tuple[Token, ...]:
        return self._settings.now.auth.tokens

    @property
    def _identities(self) -> tuple[Identity, ...]:
        """Workloads that are valid in this environment."""
        settings = self._settings.now
        return tuple(identity for identity in settings.auth.identities if identity.holds_in(settings.environment))

    @property
    def _trusts_this_host(self) -> bool:
        return self._settings.now.auth.trust_loopback

    @property
    def _shows_this_host(self) -> bool:
        return self._trusts_this_host and _is_loopback(split_address(self._settings.now.http.listen)[0])

    async def prepare(self, request: web.Request, token: str | None = None) -> None:
        """Fetch what it takes to verify a token of another platform, for at most some seconds; `token` as in
        `require`."""
        identities = self._identities
        if hdrs.AUTHORIZATION in request.headers:
            token = _presented(request)
        if identities and token is not None and is_jwt(token):
            await self._issuers.prepare(token, identities)

    def caller(self, request: web.Request) -> Caller | None:
        """Return the caller, or None for an anonymous one. Raises Problem 401 for an unknown token.

        A token takes nothing away from a caller who is trusted without one.
        """
        trusted = self._trusts_this_host and _is_loopback(request.remote or "") and _is_direct(request)
        if hdrs.AUTHORIZATION in request.headers:
            caller = self._by_token(_presented(request), self._fault(request))
            return replace(caller, scopes=caller.scopes | _THIS_HOST.scopes) if trusted else caller
        return _THIS_HOST if trusted else None

    def sees_details(self, request: web.Request) -> bool:
        """True if failure messages and numbers may be shown.

        A caller from this host sees them without a token only where the daemon listens on this host alone: behind a
        proxy on the same host every caller comes from loopback. A caller with an unknown token is treated as anonymous,
        rather than refused: a changed credential must not make a load balancer's probe fail.
        """
        shows = self._shows_this_host and _is_direct(request)
        if hdrs.AUTHORIZATION not in request.headers:
            return shows
        try:
            return self._by_token(_presented(request)).may("health:read") or shows
        except Problem:
            return False

    def require(self, request: web.Request, scope: str, token: str | None = None) -> Caller:
        """Return the caller, who has this scope. Raises Problem 401 or 403.

        `token` is one from another place, for callers who cannot send the header; the header takes precedence.
        """
        if token is not None and hdrs.AUTHORIZATION not in request.headers:
            caller: Caller | None = self._by_token(token)
        else:
            caller = self.caller(request)
        if caller is None:
            raise _unauthorized(self._how_to_come_in("send a token as `Authorization: Bearer …`"))
        if caller is _THIS_HOST and not caller.may(scope):
            raise _unauthorized(self._how_to_come_in("on this host too, what changes something needs a token"))
        return self._with_scope(caller, scope)

    def bearer_of(self, token: str, scope: str) -> Caller:
        """Return the holder of a token that a form brought, whatever else the browser sent. Raises Problem 401 or
        403."""
        fault = _UNKNOWN if token else "write your token, as `healthd token new` printed it"
        return self._with_scope(self._by_token(token or None, fault), scope)

    def _with_scope(self, caller: Caller, scope: str) -> Caller:
        if not caller.may(scope):
            cure = f"give it that scope under auth.tokens, or make one with `healthd token new --scope {scope}`"
            raise Problem(403, "Forbidden", f"token {caller.name!r} lacks the scope {scope}: {cure}")
        return caller

    def challenge(self, request: web.Request, scope: str | None = None) -> Caller:
        """Return the caller as `require` does, for a page: a browser then asks its user for a token. Without a scope
        any caller is accepted."""
        try:
            caller = self.caller(request)
            if caller is None:
                raise _unauthorized(self._how_to_come_in("sign in with a token as the password"))
            return self.require(request, scope) if scope is not None else caller
        except Problem as problem:
            if problem.status == 401 and self._tokens:
                problem.headers = {"WWW-Authenticate": 'Basic realm="healthd", charset="UTF-8"'}
            raise

    @property
    def knows_tokens(self) -> bool:
        """True if there are tokens to sign in with."""
        return bool(self._tokens)

    def _how_to_come_in(self, with_token: str) -> str:
        return with_token if self._tokens or self._settings.now.auth.identities else _NO_TOKEN

    def _fault(self, request: web.Request) -> str:
        """Return why the text in the header is no valid token, as far as its form tells."""
        kind, _, given = request.headers[hdrs.AUTHORIZATION].partition(" ")
        given = given.strip()
        if not self._tokens and not self._settings.now.auth.identities:
            return f"{_NO_TOKEN}, or leave the Authorization header out" if self._trusts_this_host else _NO_TOKEN
        if kind.lower() == "basic":
            return _UNKNOWN if _presented(request) is not None else f"a password is taken for reading alone: {_FORM}"
        if kind.lower() != "bearer":
            return f"the word Bearer is missing: {_FORM}"
        if not given:
            return "the Authorization header holds no token: is the variable that should hold it unset?"
        return f"the word Bearer is there twice: {_FORM}" if given.lower().startswith("bearer ") else _UNKNOWN

    def _by_token(self, token: str | None, fault: str = _UNKNOWN) -> Caller:
        if token is not None and self._identities and is_jwt(token):
            return self._by_identity(token)
        presented = hash_token(token or "")
        found: Token | None = None
        for known in self._tokens:  # all of them, so that the time taken reveals nothing
            if hmac.compare_digest(known.hash.get_secret_value(), presented):
                found = known
        if token is None or found is None:
            self.refused(Reason.UNKNOWN_TOKEN)
            raise _unauthorized(fault)
        if found.expires is not None and found.has_expired(self._clock.now()):
            self.refused(Reason.EXPIRED_TOKEN)
            raise _unauthorized(f"token {found.name!r} is refused since {stamp(found.expires)}: make another one")
        environment = self._settings.now.environment
        if not found.holds_in(environment):
            self.refused(Reason.UNKNOWN_TOKEN)
            raise _unauthorized(f"token {found.name!r} is not valid in the environment {environment}")
        return _caller(found.name, found)

    def _by_identity(self, token: str) -> Caller:
        """Return the workload that a token of another platform proves. Raises Problem 401 or 503."""
        try:
            identity, subject = self._issuers.verify(token, self._identities)
        except KeysUnavailableError as error:
            raise Problem(503, "Keys unavailable", str(error), headers={"Retry-After": "5"}) from None
        except NotVerifiedError as error:
            self.refused(Reason.EXPIRED_TOKEN if error.expired else Reason.UNKNOWN_TOKEN)
            raise _unauthorized(f"this token of another platform is not accepted: {error}") from None
        return _caller(f"{identity.name}/{_UNPRINTABLE.sub('?', subject)[:_LONGEST_SUBJECT]}", identity)


def _caller(name: str, grant: Grant) -> Caller:
    hooks = None if grant.hooks is None or "admin" in grant.granted else frozenset(grant.hooks)
    return Caller(name, grant.granted, hooks, grant.reach)


def _presented(request: web.Request) -> str | None:
    """Return the token of a request; None where it is sent in a way that does not count."""
    kind, _, given = request.headers[hdrs.AUTHORIZATION].partition(" ")
    match kind.lower():
        case "bearer":
            return given.strip()
        case "basic" if request.method in (hdrs.METH_GET, hdrs.METH_HEAD):
            try:
                return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return None
    return None


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="healthd"'})


def _is_direct(request: web.Request) -> bool:
    """True if neither a proxy nor a page in a browser is between, as far as that can be seen: a proxy adds a header, or
    speaks HTTP/1.0 as NGINX does by default. A page can have its own name resolve to loopback, but then that name is in
    the Host header, which it cannot choose."""
    headers = request.headers
    return (
        request.version >= HttpVersion11
        and not any(name in headers for name in _FORWARDING)
        and headers.get(_SEC_FETCH_SITE, "none") in ("none", "same-origin")
        and _names_this_host(headers.get(hdrs.HOST, ""))
    )


@lru_cache(maxsize=256)
def _names_this_host(host: str) -> bool:
    """True if the Host header names this host. A simple client may send none; a browser always does."""
    return not host or _is_loopback(re.sub(r":\d*$", "", host).strip("[]").lower())


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
