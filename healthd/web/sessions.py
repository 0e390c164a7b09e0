"""Sessions of people who have signed in, in sealed cookies: any replica with the same secret opens them, and none has
to remember them."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from healthd.config.sign_in import SignIn
from healthd.runtime.clock import Clock

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_OF_THIS_PROCESS = secrets.token_hex(32)
_LONGEST_COOKIE = 4096
_SIGNING_IN = 600.0  # seconds in which a person has to come back from the provider
_MOST_AT_ONCE = 8  # tabs of one browser in which somebody is signing in


@dataclass(frozen=True, slots=True)
class Session:
    """Session of a person. `grant` is the name of the entry under which it began, `mark` that of its claims."""

    id: str
    name: str
    grant: str
    mark: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Values that have to be the same when a person comes back from the provider. `to` is the page asked for."""

    state: str
    nonce: str
    verifier: str
    to: str


SealedT = TypeVar("SealedT", Session, Attempt)


def new_attempt(to: str) -> Attempt:
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))  # 43 characters: RFC 7636, 4.1
    return Attempt(state, nonce, verifier, to)


class Cookies:
    """Cookies of one configuration of sign-in, below one external address."""

    def __init__(self, sign_in: SignIn, external_url: str, clock: Clock) -> None:
        self._sign_in, self._clock = sign_in, clock
        self._secure = urlsplit(external_url).scheme == "https"
        # A cookie with this prefix cannot be set by another host of the same domain (RFC 6265bis, 4.1.3.2).
        self._prefix = "__Host-healthd-" if self._secure else "healthd-"

    def session(self, request: web.Request) -> Session | None:
        """Return the session of a request, if it has one that holds."""
        return self._open(Session, request.cookies.get(self._session), self._sign_in.session)

    def begin(self, response: web.StreamResponse, session: Session) -> None:
        self._set(response, self._session, self._seal(session), self._sign_in.session)

    def end(self, response: web.StreamResponse) -> None:
        """Take the session out of the browser."""
        self._delete(response, self._session)

    def attempt(self, request: web.Request, state: str) -> Attempt | None:
        """Return the attempt to sign in that a browser began under a state."""
        attempt = self._open(Attempt, request.cookies.get(self._attempt(state)), _SIGNING_IN)
        return attempt if attempt is not None and secrets.compare_digest(attempt.state, state) else None

    def try_(self, request: web.Request, response: web.StreamResponse, attempt: Attempt) -> None:
        """Note an attempt in the browser; of too many that did not come back, forget all."""
        others = [name for name in request.cookies if name.startswith(self._attempt(""))]
        for name in others if len(others) >= _MOST_AT_ONCE else ():
            self._delete(response, name)
        self._set(response, self._attempt(attempt.state), self._seal(attempt), _SIGNING_IN)

    def forget(self, response: web.StreamResponse, attempt: Attempt) -> None:
        self._delete(response, self._attempt(attempt.state))

    @property
    def _session(self) -> str:
        return f"{self._prefix}session"

    def _attempt(self, state: str) -> str:
        return f"{self._prefix}sign-in-{state[:8]}"

    def _set(self, response: web.StreamResponse, name: str, text: str, seconds: float) -> None:
        response.set_cookie(
            name, text, max_age=int(seconds), path="/", httponly=True, samesite="Lax", secure=self._secure
        )

    def _delete(self, response: web.StreamResponse, name: str) -> None:
        response.del_cookie(name, path="/", httponly=True, samesite="Lax", secure=self._secure)

    def _seal(self, content: Session | Attempt) -> str:
        text = json.dumps(asdict(content), separators=(",", ":")).encode()
        return self._key(type(content)).encrypt_at_time(text, int(self._clock.now().timestamp())).decode()

    def _open(self, kind: type[SealedT], text: str | None, lasts: float) -> SealedT | None:
        """Return what was sealed, unless it is of another kind or release, or older than `lasts` seconds."""
        from cryptography.fernet import InvalidToken

        if text is None or len(text) > _LONGEST_COOKIE or not text.isascii():
            return None
        try:
            opened = self._key(kind).decrypt_at_time(text, int(lasts), int(self._clock.now().timestamp()))
            return kind(**json.loads(opened))
        except (InvalidToken, TypeError):
            return None

    def _key(self, kind: type[Session | Attempt]) -> Fernet:
        sign_in, secret = self._sign_in, _OF_THIS_PROCESS
        if sign_in.session_secret is not None:
            secret = sign_in.session_secret.get_secret_value()
        return _key(secret, f"{kind.__name__}\0{sign_in.issuer}\0{sign_in.client_id}")


@lru_cache(maxsize=8)
def _key(secret: str, purpose: str) -> Fernet:
    """Return the key for one purpose: what is sealed for another, or for another provider, it does not open."""
    import base64

    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = HKDF(SHA256(), 32, salt=None, info=b"healthd\0" + purpose.encode()).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
