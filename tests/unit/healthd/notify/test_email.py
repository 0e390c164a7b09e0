"""Mail by SMTP, to a server of the tests' own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from healthd.notifiers.contract import DeliveryError, NotifierContext
from healthd.notifiers.email import Email, EmailConfig
from healthd.runtime.clock import SystemClock
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from tests.integration.healthd.notifiers.test_notifiers import DOWN, GATE
from tests.servers.ports import HOST, free_port
from tests.servers.smtp import MailServer
from tests.servers.tls import Authority

OPTIONS: dict[str, Any] = {"kind": "email", "from": "healthd@example.test", "to": ["a@example.test", "b@example.test"]}
LOGIN = {"user": "healthd", "password": "pass word\u00e9"}


@asynccontextmanager
async def mailing(server: MailServer, tls: Any = None, **options: Any) -> AsyncIterator[Email]:
    listening = await asyncio.start_server(server, HOST, free_port(), ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    config = EmailConfig.model_validate({**OPTIONS, "host": HOST, "port": port, "timeout": "5s", **options})
    async with aiohttp.ClientSession() as session:
        yield Email(config, NotifierContext(session, SystemClock(), "production", "host-1"))
    listening.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_one_mail_for_all_in_plain_text(authority: Authority, tmp_path: Path) -> None:
    """To everybody, encrypted before the password, with the worst in the subject, the same identity at every try, and
    lines that begin with a dot as they are."""
    context = authority.good().context(tmp_path)
    server = MailServer(tls=context, login=("healthd", LOGIN["password"]))
    notices = [GATE, replace(DOWN, detail="Über\n.hidden\nBcc: all@example.test")]
    async with mailing(server, ca_file=authority.trust, **LOGIN) as email:
        await email.send(notices)
        await email.send(list(reversed(notices)))
    first, second = (message_from_bytes(raw, policy=policy.default) for raw in server.mails)
    assert first["Subject"] == "[production] CRITICAL: db is unhealthy; also 1 firing: api"
    assert (first["To"], first["Bcc"]) == ("a@example.test, b@example.test", None)
    assert first["Message-ID"] == second["Message-ID"]
    body = first.get_content()
    assert "Über" in body
    assert "\n.hidden" in body.replace("\r\n", "\n")
    assert "https://healthd.test/checks/db" in body
    assert server.recipients == ["a@example.test", "b@example.test"] * 2


@pytest.mark.parametrize("security", ["tls", "none"])
async def test_ways_to_encrypt(authority: Authority, tmp_path: Path, security: str) -> None:
    server = MailServer()
    tls = authority.good().context(tmp_path) if security == "tls" else None
    async with mailing(server, tls, security=security, ca_file=authority.trust) as email:
        await email.send([DOWN])
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("server", "said", "final"),
    [
        ({"says": {"DATA": "554 5.7.1 looks like spam"}}, "answered 554 5.7.1 looks like spam", True),
        ({"says": {"DATA": "451 4.3.0 later"}}, "answered 451 4.3.0 later", False),
        ({"refuses": dict.fromkeys(OPTIONS["to"], "550 5.1.1 nobody")}, "every recipient: 550 5.1.1 nobody", False),
        ({"says": {"MAIL": "421 4.7.0 too many"}}, "answered 421 4.7.0 too many", False),
    ],
)
async def test_what_is_refused(server: dict[str, Any], said: str, final: bool) -> None:
    """Its own words; what may be accepted later is tried again."""
    async with mailing(MailServer(**server), security="none") as email:
        with pytest.raises(DeliveryError, match=said) as caught:
            await email.send([DOWN])
    assert caught.value.final is final


async def test_one_wrong_address_keeps_nobody_else_from_it() -> None:
    server = MailServer(refuses={"b@example.test": "550 5.1.1 nobody"})
    async with mailing(server, security="none") as email:
        await email.send([DOWN])
    assert server.recipients == ["a@example.test"]


async def test_no_password_to_a_stranger(authority: Authority, tmp_path: Path) -> None:
    """Neither where encryption is not offered, nor to who shows a certificate that is not trusted; nor is it in the
    message."""
    for server in (MailServer(), MailServer(tls=authority.good().context(tmp_path))):
        async with mailing(server, **LOGIN) as email:
            with pytest.raises(DeliveryError) as caught:
                await email.send([DOWN])
        assert LOGIN["password"] not in str(caught.value)
        assert server.mails == []


@pytest.mark.parametrize(
    ("greeting", "security", "said"),
    [
        (b"220 mail ESMTP\r\n", "tls", "{place} does not speak TLS; security: none or starttls?"),
        (b"", "none", "{place} did not greet as an SMTP server, or went silent; security: tls or starttls?"),
        (None, "none", "{place} refused the connection"),
        (None, "tls", "{place} refused the connection"),
    ],
)
async def test_a_server_that_cannot_be_used_is_named(greeting: bytes | None, security: str, said: str) -> None:
    """With what to try, and without the codes of the system and of OpenSSL."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting or b"")
        await writer.drain()
        writer.close()

    async with mailing(greet, security=security) as email:  # type: ignore[arg-type]
        place = f"{HOST}:{email._port}"
        if greeting is None:
            email._config = email._config.model_copy(update={"port": (port := free_port())})
            place = f"{HOST}:{port}"
        with pytest.raises(DeliveryError) as caught:
            await email.send([DOWN])
    assert str(caught.value) == f"cannot be used: {said.format(place=place)}"
    assert not caught.value.perhaps_taken


async def test_a_server_that_hangs_up_after_the_mail_may_have_it() -> None:
    async with mailing(server := MailServer(vanishes=True), security="none") as email:
        with pytest.raises(DeliveryError) as caught:
            await email.send([DOWN])
    assert len(server.mails) == 1
    assert caught.value.perhaps_taken


async def test_a_server_that_hangs_holds_one_thread() -> None:
    """The next try is refused until it has answered or its time is up."""

    over = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with mailing(silent, security="none") as email:  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(email.send([DOWN]), 0.2)
        with pytest.raises(DeliveryError, match="has not answered"):
            await email.send([DOWN])
        over.set()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user": "x"}, "user and password, or neither"),
        ({"host": "mail:25"}, "the port goes into port"),
        ({**LOGIN, "security": "none"}, "never sent without encryption"),
        ({"to": ["a@example.test", "A@example.test"]}, "stands there twice"),
        ({"to": "a@example.test, b@example.test"}, r"or a list of them: \[ann@example.com, bob@example.com\]"),
        ({"from": "a@b\nBcc: c@d"}, "pattern"),
    ],
)
def test_what_is_no_configuration(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EmailConfig.model_validate({**OPTIONS, "host": "mail", **options})


@pytest.mark.usefixtures("hung_resolver")
async def test_a_name_that_is_not_resolved_in_time_is_told() -> None:
    """And holds no mail up that comes after it."""
    async with mailing(MailServer(), host="hung.example", security="none") as email:
        for _ in range(2):
            with pytest.raises(DeadlineExceededError, match=r"^the name hung\.example was not resolved within 0"):
                await with_deadline(0.3, email.send([DOWN]), name="notify")
