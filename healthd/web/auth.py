"""Authorisation: tokens with scopes, stored as hashes.

A token is sent as `Authorization: Bearer`. A browser may send it as the password of HTTP Basic, only for reading: a
browser sends it automatically, so any page that it visits could otherwise change something. The same holds for the
cookie of a person who has signed in, but for a form of healthd's own pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Container
from dataclasses import replace
from urllib.parse import urlencode

from aiohttp import hdrs, web

from healthd.config.auth import Token
from healthd.config.identity import Identity
from healthd.config.in_force import Current
from healthd.config.listen_address import is_loopback, split_address
from healthd.config.settings import Settings
from healthd.runtime.clock import Clock, SystemClock
from healthd.units import stamp
from healthd.web.caller import Caller as Caller
from healthd.web.caller import vouched_for
from healthd.web.direct import is_direct
from healthd.web.forms import refuse_unless_from_here
from healthd.web.issuer_keys import KeysUnavailableError, NotVerifiedError
from healthd.web.issuers import Issuers, is_jwt
from healthd.web.problems import Problem
from healthd.web.refusals import Reason, Refusals
from healthd.web.sessions import Cookies

_NO_TOKEN = "no token is configured: put one under auth.tokens (`healthd token new` makes it)"
_UNKNOWN = "this token is not known: no hash under auth.tokens is its own"
_READING = (hdrs.METH_GET, hdrs.METH_HEAD)
_FORM = "send `Authorization: Bearer TOKEN`"
_PLACE = "send a token as `Authorization: Bearer …`"


def new_token() -> tuple[str, str]:
    """Return a fresh token and the hash to put into the configuration.

    The token has 256 random bits, so one SHA-256 is as strong as a slow password hash and costs nothing per request.
    """
    token = "hd_" + secrets.token_urlsafe(32)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """Return the hash of a token; of any text that a caller may have sent, even with lone surrogates."""
    return "sha256:" + hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _fault_of(given: str) -> str:
    """Return why a text is no known token, as far as its form tells."""
    if given[:1] in ("'", '"'):
        return "this token is not known: leave out the quotes around it, which are no part of it"
    if given.startswith("sha256:"):
        return "this is the hash of a token: send the token itself, which begins with hd_"
    return _UNKNOWN


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
        self.ended_sessions: Container[str] = ()
        """Ids of the sessions whose people have signed out."""

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
        return self._trusts_this_host and is_loopback(split_address(self._settings.now.http.listen)[0])

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
        trusted = self._trusts_this_host and is_loopback(request.remote or "") and is_direct(request)
        caller: Caller | None
        if hdrs.AUTHORIZATION in request.headers:
            caller = self._by_token(request, _presented(request), self._fault(request))
        else:
            caller = self.person(request) if request.method in _READING else None
        if not trusted or caller is None:
            return _THIS_HOST if trusted else caller
        return replace(caller, scopes=caller.scopes | _THIS_HOST.scopes)

    def person(self, request: web.Request) -> Caller | None:
        """Return the person who has signed in in this browser. A token in the header takes precedence; then it is
        None."""
        settings, cookies = self._settings.now, self.cookies
        if settings.auth.sign_in is None or cookies is None or hdrs.AUTHORIZATION in request.headers:
            return None
        session = cookies.session(request)
        if session is None or session.id in self.ended_sessions:
            return None
        for people in settings.auth.sign_in.valid_in(settings.environment):
            if (people.name, people.mark) == (session.grant, session.mark):
                return replace(Caller.of(vouched_for(people, session.name), people), is_person=True)
        return None

    @property
    def cookies(self) -> Cookies | None:
        """Cookies of people who sign in; None where nobody can."""
        settings = self._settings.now
        if settings.auth.sign_in is None or settings.http.external_url is None:
            return None
        return Cookies(settings.auth.sign_in, settings.http.external_url, self._clock)

    def sees_details(self, request: web.Request) -> bool:
        """True if failure messages and numbers may be shown.

        A caller from this host sees them without a token only where the daemon listens on this host alone: behind a
        proxy on the same host every caller comes from loopback. A caller with an unknown token is treated as anonymous,
        rather than refused: a changed credential must not make a load balancer's probe fail.
        """
        shows = self._shows_this_host and is_direct(request)
        if hdrs.AUTHORIZATION not in request.headers:
            person = self.person(request)
            return shows or (person is not None and person.may("health:read"))
        try:
            return self._by_token(request, _presented(request)).may("health:read") or shows
        except Problem:
            return False

    def require(self, request: web.Request, scope: str, token: str | None = None, place: str = _PLACE) -> Caller:
        """Return the caller, who has this scope. Raises Problem 401 or 403.

        `token` is one from another place, for callers who cannot send the header, and `place` tells one without a token
        where it belongs; the header takes precedence.
        """
        if token is not None and hdrs.AUTHORIZATION not in request.headers:
            caller: Caller | None = self._by_token(request, token)
        else:
            caller = self.caller(request)
        if caller is None:
            raise _unauthorized(self._how_to_come_in(place))
        if caller is _THIS_HOST and not caller.may(scope):
            raise _unauthorized(self._how_to_come_in("on this host too, what changes something needs a token"))
        return self._with_scope(caller, scope)

    def sender_of_form(self, request: web.Request, token: str, scope: str) -> Caller:
        """Return who sent a form: the holder of the token in it, or else the person who has signed in, whatever else
        the browser sent. Raises Problem 401 or 403."""
        if token or self.cookies is None:
            fault = _fault_of(token) if token else "write your token, as `healthd token new` printed it"
            return self._with_scope(self._by_token(request, token or None, fault), scope)
        refuse_unless_from_here(request, self._settings.now.http.external_url)
        person = self.person(request)
        if person is None:
            raise _unauthorized("sign in first, or write a token: a session ends after a time, and with its entry")
        return self._with_scope(person, scope)

    def _with_scope(self, caller: Caller, scope: str) -> Caller:
        if not caller.may(scope):
            raise caller.lacks(scope)
        return caller

    def challenge(self, request: web.Request, scope: str | None = None, *, by_token: bool = False) -> Caller:
        """Return the caller as `require` does, for a page: a browser is then sent to sign in, or asks its user for a
        token. Without a scope any caller is accepted; `by_token` does without the provider."""
        try:
            caller = self.caller(request)
            if caller is None or (by_token and caller.is_person):
                raise _unauthorized(self._how_to_come_in("sign in with a token as the password"))
            return self.require(request, scope) if scope is not None else caller
        except Problem as problem:
            if problem.status != 401:
                raise
            by_provider = self.cookies is not None and not by_token and hdrs.AUTHORIZATION not in request.headers
            if by_provider and "text/html" in request.headers.get(hdrs.ACCEPT, ""):
                raise self._to_sign_in(request) from None
            if self._tokens and not by_provider:
                problem.headers = {"WWW-Authenticate": 'Basic realm="healthd", charset="UTF-8"'}
            raise

    def _to_sign_in(self, request: web.Request) -> Problem:
        """Return what leads a browser to the provider, and back to the page that was asked for."""
        address = f"{self._settings.now.http.external_url}/sign-in?{urlencode({'to': request.path_qs})}"
        return Problem(303, "Sign in", f"sign in at {address}", headers={hdrs.LOCATION: address})

    def may_sign_in(self, person: Caller | None, sees_details: bool) -> bool:
        """True if there is something for a viewer to sign in for: a name, by the provider, or else details."""
        return person is None and (self.cookies is not None or (self.knows_tokens and not sees_details))

    @property
    def knows_tokens(self) -> bool:
        """True if there are tokens to sign in with."""
        return bool(self._tokens)

    def _how_to_come_in(self, with_token: str) -> str:
        return with_token if self._settings.now.auth.grants else _NO_TOKEN

    def _fault(self, request: web.Request) -> str:
        """Return why the text in the header is no valid token, as far as its form tells."""
        kind, _, given = request.headers[hdrs.AUTHORIZATION].partition(" ")
        given = given.strip()
        if not self._settings.now.auth.grants:
            return f"{_NO_TOKEN}, or leave the Authorization header out" if self._trusts_this_host else _NO_TOKEN
        if kind.lower() == "basic":
            return _UNKNOWN if _presented(request) is not None else f"a password is taken for reading alone: {_FORM}"
        if kind.lower() != "bearer":
            return f"the word Bearer is missing: {_FORM}"
        if not given:
            return "the Authorization header holds no token: is the variable that should hold it unset?"
        return f"the word Bearer is there twice: {_FORM}" if given.lower().startswith("bearer ") else _fault_of(given)

    def _by_token(self, request: web.Request, token: str | None, fault: str = _UNKNOWN) -> Caller:
        if token is not None and self._identities and is_jwt(token):
            return self._by_identity(request, token)
        presented = hash_token(token or "")
        found: Token | None = None
        for known in self._tokens:  # all of them, so that the time taken reveals nothing
            if hmac.compare_digest(known.hash.get_secret_value(), presented):
                found = known
        if token is None or found is None:
            self.refused(Reason.UNKNOWN_TOKEN, request)
            raise _unauthorized(fault)
        if found.expires is not None and found.has_expired(self._clock.now()):
            self.refused(Reason.EXPIRED_TOKEN, request, token=found.name)
            raise _unauthorized(f"token {found.name!r} is refused since {stamp(found.expires)}: make another one")
        environment = self._settings.now.environment
        if not found.holds_in(environment):
            self.refused(Reason.UNKNOWN_TOKEN, request, token=found.name)
            raise _unauthorized(f"token {found.name!r} is not valid in the environment {environment}")
        return Caller.of(found.name, found)

    def _by_identity(self, request: web.Request, token: str) -> Caller:
        """Return the workload that a token of another platform proves. Raises Problem 401 or 503."""
        try:
            identity, subject = self._issuers.verify(token, self._identities)
        except KeysUnavailableError as error:
            raise Problem(503, "Keys unavailable", str(error), headers={"Retry-After": "5"}) from None
        except NotVerifiedError as error:
            self.refused(Reason.EXPIRED_TOKEN if error.expired else Reason.UNKNOWN_TOKEN, request)
            raise _unauthorized(f"this token of another platform is not accepted: {error}") from None
        return Caller.of(vouched_for(identity, subject), identity)


def _presented(request: web.Request) -> str | None:
    """Return the token of a request; None where it is sent in a way that does not count."""
    kind, _, given = request.headers[hdrs.AUTHORIZATION].partition(" ")
    match kind.lower():
        case "bearer":
            return given.strip()
        case "basic" if request.method in _READING:
            try:
                return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return None
    return None


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="healthd"'})
