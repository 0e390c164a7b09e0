"""Mail server by SMTP: it greets, encrypts, lets its user in and, where asked, takes mail for a recipient."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from healthd.checks.certificates import expiries
from healthd.checks.connect import Endpoint
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.expiry_limits import Broken, ExpiryLimits
from healthd.checks.host import Host
from healthd.checks.smtp_session import NotSMTPError, Reply, Session
from healthd.checks.tls_failures import TLS_FAILURES, explain_tls
from healthd.checks.trust import trust
from healthd.model import FailureKind, JSONScalar, Result, Status
from healthd.runtime.credential import Password
from healthd.units import Duration
from healthd.wording import shape

_GOODBYE = 0.5  # seconds to wait for the answer to QUIT, which changes nothing
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_Mailbox = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[!-;=?A-~]+@[!-;=?A-~]+$", "a mail address in ASCII, alone"), max_length=254),
]
_Name = Annotated[str, StringConstraints(pattern=shape(r"^[!-~]+$", "a name or an address in brackets"))]


class SMTPConfig(CheckConfig):
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["smtp"] = "smtp"
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 10.0
    """Hard deadline of a probe; some servers let strangers wait for the greeting."""
    host: Host
    """Name or address of the host."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port of the server; by default 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption: `starttls` after the greeting, `tls` from the beginning, `none` at all."""
    user: str | None = Field(None, min_length=1)
    """User to log in as; nobody by default."""
    password: Password | None = None
    """Password of the user."""
    sender: _Mailbox | None = Field(None, alias="from")
    """Sender to name with `to`; by default the empty one, that of notices."""
    to: _Mailbox | None = None
    """Recipient whom the server must accept; the mail is given up before any of it is sent."""
    ehlo: _Name | None = None
    """Name of this host for `EHLO`; by default its address in brackets."""
    ca_file: Path | None = None
    """CA file to trust instead of the system's authorities."""
    server_name: str | None = Field(None, min_length=1)
    """Name that the certificate must be valid for, where it is not `host`."""
    certificate: ExpiryLimits = ExpiryLimits()
    """Limits on the time left of the certificate, as of a check `tls`."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("write user and password, or neither")
        if self.user is not None and self.security == "none":
            raise ValueError("a password is never sent without encryption: write security: starttls or tls")
        if self.sender is not None and self.to is None:
            raise ValueError("from without to: name the recipient whom the server must accept")
        return self


class SMTP:
    """Speaks to the server as a client with a mail does, up to the mail itself, and says goodbye."""

    config_model: ClassVar[type[CheckConfig]] = SMTPConfig

    def __init__(self, config: SMTPConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._endpoint = Endpoint(config.host, config.port or _PORTS[config.security])
        self._server_name = config.server_name or config.host
        self._session = Session(self._endpoint)

    async def probe(self) -> Result:
        session = self._session = Session(self._endpoint)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._config.patience
        try:
            async with asyncio.timeout_at(end):
                result = await self._look(session)
            await session.leave(min(end, loop.time() + _GOODBYE))
            return result
        except _RefusedError as error:
            return Result.unhealthy(error.kind, f"{self._endpoint} {error}")
        except NotSMTPError:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"{self._endpoint} does not speak SMTP")
        except TimeoutError:
            waited = f"{self._endpoint} {session.waits_for} within {self._config.patience:g} s"
            return Result.unhealthy(FailureKind.TIMEOUT, f"{waited}{self._other_security(session)}")
        except TLS_FAILURES as error:
            return Result.unhealthy(*explain_tls(error, self._endpoint, self._server_name))
        finally:
            await self.close()

    async def close(self) -> None:
        self._session.drop()

    async def _look(self, session: Session) -> Result:
        start = time.perf_counter()
        observed: dict[str, JSONScalar | list[str]] = {}
        broken: Broken | None = None
        await session.open()
        if self._config.security == "tls":
            broken = await self._encrypt(session, observed)
        _must(await session.greeted(), "greets with")
        _must(await session.introduce(self._config.ehlo), "answers EHLO with")
        latency = time.perf_counter() - start
        if self._config.security == "starttls":
            if "STARTTLS" not in session.offers:
                raise _RefusedError(FailureKind.TLS, "offers no STARTTLS")
            _must(await session.command("STARTTLS"), "answers STARTTLS with", FailureKind.TLS)
            broken = await self._encrypt(session, observed)
            _must(await session.introduce(self._config.ehlo), "answers EHLO with")
        await self._log_in(session)
        deferred = await self._hand_over(session)
        if broken is not None and (broken[0] is Status.UNHEALTHY or deferred is None):
            return Result(*broken, latency=latency, observed=observed)
        if deferred is not None:
            return Result.degraded(
                FailureKind.RATE_LIMITED, f"{self._endpoint} {deferred}", latency=latency, observed=observed
            )
        return Result.healthy(latency=latency, observed=observed)

    async def _encrypt(self, session: Session, observed: dict[str, JSONScalar | list[str]]) -> Broken | None:
        """Return what is wrong with the certificate's dates."""
        tls = await session.start_tls(trust(self._config.ca_file), self._server_name)
        now = self._clock.now()
        observed["tlsVersion"] = tls.version()
        if (ends := expiries(tls, now)) is None:
            raise _RefusedError(FailureKind.TLS, "presents no certificate")
        observed |= ends.relied_on.observed(now)
        return self._config.certificate.broken(ends, now)

    async def _log_in(self, session: Session) -> None:
        if self._config.user is None or self._config.password is None:
            return
        reply = await session.log_in(self._config.user, self._config.password.get_secret_value())
        if reply is None:
            offers = session.offers.get("AUTH") or "no login"
            raise _RefusedError(
                FailureKind.MISCONFIGURED, f"offers {offers}, and this check logs in with PLAIN or LOGIN"
            )
        if not reply.says_yes:
            refused = reply.code in (530, 534, 535, 538)
            kind = FailureKind.AUTH if refused else FailureKind.UNEXPECTED_RESPONSE
            raise _RefusedError(kind, f"does not let the user in: {reply.code_alone}")

    async def _hand_over(self, session: Session) -> str | None:
        """Name a sender and the recipient, and give up the mail. Returns how the recipient was put off till later."""
        if self._config.to is None:
            return None
        _must(await session.command("MAIL", f"FROM:<{self._config.sender or ''}>"), "answers MAIL with")
        reply = await session.command("RCPT", f"TO:<{self._config.to}>")
        if reply.code in (450, 451):  # as greylisting does (RFC 6647)
            return f"puts the recipient off: {reply.in_words}"
        _must(reply, "answers RCPT with", FailureKind.PERMISSION if reply.code >= 500 else None)
        await session.command("RSET")
        return None

    def _other_security(self, session: Session) -> str:
        """Return what may be meant where a server does not say a word: it waits for the beginning of TLS."""
        silent = session.is_connected and not session.has_spoken
        return "; security: tls?" if silent and self._config.security != "tls" else ""


class _RefusedError(Exception):
    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _must(reply: Reply, said: str, kind: FailureKind | None = None) -> None:
    """Raise _RefusedError unless the server says yes."""
    if reply.says_yes:
        return
    known = {452: FailureKind.EXHAUSTED, 530: FailureKind.AUTH}
    raise _RefusedError(known.get(reply.code, kind or FailureKind.UNEXPECTED_RESPONSE), f"{said} {reply.in_words}")
