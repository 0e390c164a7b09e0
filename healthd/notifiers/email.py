"""E-mail through a server of yours, by SMTP. The library blocks, so it has a thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import ClassVar, Literal

import structlog
from pydantic import Field, model_validator

from healthd.checks.connect import Endpoint
from healthd.checks.host import Host
from healthd.checks.trust import CAFileError, trust
from healthd.checks.unreachable import why_unreached
from healthd.notifiers.contract import DeliveryError, NotifierConfig, NotifierContext
from healthd.notifiers.mail import LONGEST_SUBJECT, Mail, Recipients
from healthd.notifiers.notice import Notice, urgency
from healthd.notifiers.wording import headline, paragraph
from healthd.runtime.credential import Password
from healthd.runtime.lookups import look_up

_log = structlog.get_logger(__name__)
_LONGEST_COMPLAINT = 200  # characters of what the server says
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class EmailConfig(NotifierConfig):
    kind: Literal["email"]
    host: Host
    """Host of the SMTP server."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port of the server; by default 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption: `starttls` after the greeting, `tls` from the beginning, `none` at all."""
    user: str | None = None
    """User to log in as; nobody by default."""
    password: Password | None = None
    """Password of the user."""
    ca_file: Path | None = None
    """Authorities to trust, as PEM; those of the system by default."""
    sender: Mail = Field(alias="from")
    """Address of the sender."""
    to: Recipients
    """Recipients of the mail."""

    @model_validator(mode="after")
    def _logs_in_with_both(self) -> EmailConfig:
        if (self.user is None) != (self.password is None):
            raise ValueError("write user and password, or neither")
        if self.user is not None and self.security == "none":
            raise ValueError("a password is never sent without encryption: write security: starttls or tls")
        return self


class Email:
    """Sends one mail for all notices within `group_wait`."""

    config_model: ClassVar[type[NotifierConfig]] = EmailConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, config: EmailConfig, context: NotifierContext) -> None:
        self._config, self._context = config, context
        self._threads = ThreadPoolExecutor(1, "smtp")
        self._sending: Future[None] | None = None

    async def send(self, notices: Sequence[Notice]) -> None:
        if self._sending is not None and not self._sending.done():
            raise DeliveryError("the server has not answered the mail before this one")
        try:
            context = await asyncio.to_thread(trust, self._config.ca_file)
        except CAFileError as error:
            raise DeliveryError(str(error)) from None
        try:  # in a thread of the loop's, rather than the one for mails, which a lookup that hangs would occupy
            await look_up(self._config.host, self._port)
        except OSError as error:
            raise DeliveryError(f"cannot be reached: {self._why(error)}") from None
        self._sending = self._threads.submit(self._deliver, self._mail(notices), context)
        await asyncio.wrap_future(self._sending)

    def _mail(self, notices: Sequence[Notice]) -> EmailMessage:
        mail = EmailMessage(SMTP)
        mail["From"] = formataddr(("healthd", self._config.sender))
        mail["To"] = ", ".join(self._config.to)
        mail["Subject"] = " ".join(headline(notices, self._context.environment).split())[:LONGEST_SUBJECT]
        mail["Date"] = format_datetime(self._context.clock.now())
        # The same at every attempt, so that a mail whose acceptance was not heard is shown once.
        identity = hashlib.sha256("\n".join(sorted(notice.id for notice in notices)).encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{identity}@{self._config.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is answered
        mail.set_content("\n\n".join(map(paragraph, sorted(notices, key=urgency))))
        return mail

    def _deliver(self, mail: EmailMessage, context: ssl.SSLContext) -> None:
        """Hand the mail to the server. Raises DeliveryError."""
        ready = False
        try:
            with self._connected(context) as server:
                ready = True
                refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise DeliveryError(f"refused every recipient: {_complaint(code, said)}") from None
        except smtplib.SMTPResponseException as error:
            final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            raise DeliveryError(f"answered {_complaint(error.smtp_code, error.smtp_error)}", final=final) from None
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"cannot be used: {self._why(error)}", perhaps_taken=ready) from None
        if refused:  # the others have it, and must not get it again
            _log.warning("mail refused for some recipients", recipients=sorted(refused))

    def _why(self, error: smtplib.SMTPException | OSError) -> str:
        """Return what is wrong, with host and port, and another `security` that may be meant."""
        endpoint = Endpoint(self._config.host, self._port)
        others = " or ".join(other for other in ("tls", "starttls", "none") if other != self._config.security)
        if self._config.security == "tls" and isinstance(error, ssl.SSLError):
            said = why_unreached(error, endpoint)
            return f"{said}; security: none or starttls?" if said.endswith("does not speak TLS") else said
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return f"{endpoint}: {error}; security: {others}?"
        if isinstance(error, smtplib.SMTPServerDisconnected | TimeoutError):  # it waits for the other kind of greeting
            return f"{endpoint} did not greet as an SMTP server, or went silent; security: {others}?"
        if isinstance(error, smtplib.SMTPException):
            return f"{endpoint}: {str(error) or type(error).__name__}"
        return why_unreached(error, endpoint)

    @property
    def _port(self) -> int:
        return self._config.port or _PORTS[self._config.security]

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        config = self._config
        port, timeout = self._port, config.timeout
        if config.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(config.host, port, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(config.host, port, timeout=timeout)
        try:
            if config.security == "starttls":
                server.starttls(context=context)
            if config.user is not None and config.password is not None:
                _log_in(server, config.user, config.password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


def _log_in(server: smtplib.SMTP, user: str, password: str) -> None:
    """Log in. Raises SMTPException. The library sends ASCII alone; RFC 4616 has UTF-8."""
    if user.isascii() and password.isascii():
        server.login(user, password)
        return
    server.ehlo_or_helo_if_needed()
    code, said = server.docmd("AUTH", "PLAIN " + b64encode(f"\0{user}\0{password}".encode()).decode())
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, said)


def _complaint(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:_LONGEST_COMPLAINT]
