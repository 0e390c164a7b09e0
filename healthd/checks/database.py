"""Options that the database checks have in common. The queries are each kind's own."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from healthd.addresses.notes import notes_of
from healthd.checks.contract import CheckConfig
from healthd.model import FailureKind, Observed, Result
from healthd.runtime.authority import ESCAPES, authority_of, problem_of_authority, refuse_ends
from healthd.units import Ratio


class Require(StrEnum):
    """Role that the server must have for the check to be healthy."""

    PRIMARY = "primary"
    REPLICA = "replica"
    ANY = "any"


class DatabaseConfig(CheckConfig):
    """Options of a check whose URI holds a password: no validation error of it may show the given value."""

    model_config = ConfigDict(hide_input_in_errors=True)

    @property
    def addresses(self) -> tuple[SecretStr, ...]:
        """Addresses that the check connects to."""
        uri = getattr(self, "uri", None)
        return (uri,) if isinstance(uri, SecretStr) else ()

    @property
    def notes(self) -> tuple[str, ...]:
        try:
            return tuple(note for uri in self.addresses for note in notes_of(uri.get_secret_value()))
        except Exception:  # whatever the import of a driver raises: the check itself says what is wrong
            return ()


class Limits(BaseModel):
    """Limits as shares of a resource's capacity, both inclusive: one for degraded, one for unhealthy."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    degraded: Ratio = 0.8
    """Share in use at which the check becomes degraded."""
    unhealthy: Ratio = 1.0
    """Share in use at which the check becomes unhealthy."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.degraded > self.unhealthy:
            raise ValueError("degraded must not be above unhealthy")
        return self

    def judge(self, used: float, of: float, text: str, observed: Observed, latency: float | None) -> Result | None:
        """Return a result with the message `text` when `used` of `of` reaches a limit; None below both."""
        share = used / of if of > 0 else 1.0
        if share >= self.unhealthy:
            return Result.unhealthy(FailureKind.EXHAUSTED, text, latency=latency, observed=observed)
        if share >= self.degraded:
            return Result.degraded(FailureKind.EXHAUSTED, text, latency=latency, observed=observed)
        return None


def percent(used: float, of: float) -> float:
    """Return a share as the JSON shows it: 12.3."""
    return round(100 * used / of, 1) if of > 0 else 100.0


def checked_uri(uri: SecretStr, *schemes: str) -> SecretStr:
    """Return `uri` when a driver has a chance to read it. Raises ValueError, never with any part of the value."""
    scheme, _, rest = uri.get_secret_value().partition("://")
    if scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{known}://' for known in schemes)}")
    refuse_ends(uri.get_secret_value())
    authority = authority_of(uri.get_secret_value())
    if _holds_the_rest_of_a_password(authority, rest):
        raise ValueError(f"has a port that is not a number, or an @ behind the host: {ESCAPES}")
    if (problem := problem_of_authority(authority, several=True)) is not None:
        raise ValueError(problem)
    return uri


def _holds_the_rest_of_a_password(authority: str, rest: str) -> bool:
    """True if an address has an `@` behind what looks like host and port: `:1234/abc@host` would be port 1234 of the
    local host, and `app:p@ss/word@host` a host called ss: the check would go elsewhere without a word."""
    if not authority:
        return False
    address, _, fragment = rest.removeprefix(authority).partition("#")
    path, _, query = address.partition("?")
    if "@" in authority:  # then a value of the query may have one too, and a # before it
        return "@" in path or ("@" in fragment and "=" not in query)
    return any("@" in part for part in (path, query.partition("=")[0], fragment))


def first_line(error: BaseException) -> str:
    """Return the message of an exception, without the details that a driver adds below; not yet redacted."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
