"""The smtp check, against a mail server of the tests' own."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.smtp import SMTPConfig
from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import ports, streams, tcp
from tests.servers.smtp import MailServer
from tests.servers.tls import Authority, Certificate, self_signed

PASSWORD = "geheim\u00df word"
LOGIN: dict[str, Any] = {"user": "healthd", "password": PASSWORD}
TO: dict[str, Any] = {"to": "probe@mail.test"}
UNEXPECTED = FailureKind.UNEXPECTED_RESPONSE


async def look(server: streams.Handler, tls: Any = None, **options: Any) -> Result:
    async with (
        streams.listening(server, tls) as port,
        watched("smtp", host="localhost", port=port, **{"security": "none", "timeout": "20s", **options}) as check,
    ):
        return await check.look()


async def look_over_tls(
    authority: Authority, folder: Path, server: MailServer, shown: Certificate | None = None, **options: Any
) -> Result:
    """With STARTTLS."""
    server.tls = (shown or authority.good()).context(folder)
    return await look(server, security="starttls", ca_file=authority.trust, **options)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_login_and_recipient_over_starttls(authority: Authority, tmp_path: Path, mechanism: str) -> None:
    """The whole of it: nothing is sent before TLS begins, no mail is left behind, and a goodbye is said."""
    server = MailServer(login=("healthd", PASSWORD), mechanism=mechanism)
    result = await look_over_tls(authority, tmp_path, server, **LOGIN, **TO)
    assert (result.status, result.observed["tlsVersion"]) == (Status.HEALTHY, "TLSv1.3")
    assert result.observed["certificateDaysLeft"] == pytest.approx(365, abs=0.1)
    assert server.heard == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "RSET", "QUIT"]
    assert not server.mails


async def test_other_ways(authority: Authority, tmp_path: Path) -> None:
    """TLS from the beginning, and none at all, in which a server that has no name for us is shown our address."""
    context = authority.good().context(tmp_path)
    secure = await look(MailServer(), context, security="tls", ca_file=authority.trust)
    plain = await look(MailServer())
    assert (secure.status, plain.status) == (Status.HEALTHY, Status.HEALTHY)
    assert "certificateExpires" in secure.observed
    assert not plain.observed


@pytest.mark.parametrize(
    ("server", "options", "status", "kind", "said"),
    [
        ({"greeting": "554 5.7.1 not you"}, {}, Status.UNHEALTHY, UNEXPECTED, "greets with 554 5.7.1 not you"),
        ({"greeting": "421 too busy"}, {}, Status.UNHEALTHY, UNEXPECTED, "greets with 421 too busy"),
        ({"greeting": "SSH-2.0-OpenSSH_9.6"}, {}, Status.UNHEALTHY, UNEXPECTED, "does not speak SMTP"),
        ({"says": {"EHLO": "502 what?"}}, {}, Status.UNHEALTHY, UNEXPECTED, "answers EHLO with 502 what?"),
        ({}, {"security": "starttls"}, Status.UNHEALTHY, FailureKind.TLS, "offers no STARTTLS"),
        ({"says": {"MAIL": "452 4.3.1 disk"}}, TO, Status.UNHEALTHY, FailureKind.EXHAUSTED, "answers MAIL with 452"),
        ({"says": {"MAIL": "530 login"}}, TO, Status.UNHEALTHY, FailureKind.AUTH, "answers MAIL with 530"),
        (
            {"says": {"RCPT": "550 5.1.1 who?"}},
            TO,
            Status.UNHEALTHY,
            FailureKind.PERMISSION,
            "RCPT with 550 5.1.1 who?",
        ),
        ({"says": {"RCPT": "450 4.2.0 later"}}, TO, Status.DEGRADED, FailureKind.RATE_LIMITED, "off: 450 4.2.0 later"),
        ({"says": {"RSET": "500 what?", "QUIT": "500"}}, TO, Status.HEALTHY, None, ""),
    ],
)
async def test_truth_table(
    server: dict[str, Any], options: dict[str, Any], status: Status, kind: FailureKind | None, said: str
) -> None:
    """What a server can say instead, and what it means."""
    result = await look(MailServer(**server), **options)
    assert (result.status, result.kind) == (status, kind), result
    assert said in result.message


@pytest.mark.parametrize(
    ("server", "kind", "said"),
    [
        ({}, FailureKind.AUTH, "does not let the user in: 535 5.7.8"),
        ({"says": {"AUTH": f"454 4.7.0 {PASSWORD}"}}, UNEXPECTED, "does not let the user in: 454 4.7.0"),
        ({"says": {"AUTH": f"535 no {PASSWORD}"}}, FailureKind.AUTH, "does not let the user in: 535"),
        ({"mechanism": "XOAUTH2"}, FailureKind.MISCONFIGURED, "offers XOAUTH2, and this check logs in with PLAIN"),
    ],
)
async def test_refused_login(
    authority: Authority, tmp_path: Path, server: dict[str, Any], kind: FailureKind, said: str
) -> None:
    """Told by its code alone: the text may repeat what it was sent."""
    result = await look_over_tls(authority, tmp_path, MailServer(login=("other", "one"), **server), **LOGIN)
    assert (result.status, result.kind) == (Status.UNHEALTHY, kind), result
    assert result.message.partition(" ")[2].startswith(said)
    assert PASSWORD not in result.message


async def test_certificates(authority: Authority, tmp_path: Path) -> None:
    """A stranger is told no password; what ends soon is told though all else is well."""
    stranger, ending, own = (MailServer(login=("healthd", PASSWORD)) for _ in range(3))
    result = await look_over_tls(authority, tmp_path, stranger, self_signed(), **LOGIN)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.TLS)
    assert stranger.heard == ["EHLO", "STARTTLS"]
    soon = authority.expiring(timedelta(days=20))
    result = await look_over_tls(authority, tmp_path, ending, soon, **LOGIN)
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.THRESHOLD)
    limits: dict[str, Any] = {"certificate": {"degraded": "10d", "unhealthy": "1d"}}
    assert (await look_over_tls(authority, tmp_path, own, soon, **LOGIN, **limits)).status is Status.HEALTHY


async def test_words_before_tls_are_no_answers_over_it(authority: Authority, tmp_path: Path) -> None:
    """What somebody on the way adds to the reply in the clear (CVE-2011-0411) is not believed."""
    server = MailServer(says={"STARTTLS": "220 go ahead\r\n250 forged"})
    result = await look_over_tls(authority, tmp_path, server)
    assert (result.status, result.kind) == (Status.UNHEALTHY, UNEXPECTED)


async def test_a_reply_without_end_is_left() -> None:
    """Neither long lines nor many of them fill the memory."""

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-" + b"x" * 1000 + b"\r\n")
            await writer.drain()

    assert (await look(flood)).kind is UNEXPECTED


async def test_nobody_and_silence() -> None:
    """Refused; and one that says nothing, as a server does that waits for TLS."""
    async with watched("smtp", host="localhost", port=ports.free_port(), security="none") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
    with tcp.silent() as listener:
        async with watched("smtp", host="localhost", port=listener.port, timeout="500ms", interval="1s") as check:
            result = await check.gives_up()
    assert result.message.endswith("accepts connections but does not greet within 0.45 s; security: tls?")


async def test_no_answer_to_the_goodbye_changes_nothing() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(b"250 mail.test\r\n")

    assert (await look(hold)).status is Status.HEALTHY


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": "mail:25"}, "the port goes into port"),
        ({"user": "x"}, "user and password, or neither"),
        ({**LOGIN, "security": "none"}, "never sent without encryption"),
        ({"from": "a@b.test"}, "from without to"),
        ({"to": "a@b.test>\r\nDATA"}, "String should match pattern"),
        ({"ehlo": "two words"}, "String should match pattern"),
        ({"certificate": {"degraded": "3d", "unhealthy": "5d"}}, "the warning comes first"),
    ],
)
def test_refused_options(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        SMTPConfig.model_validate({"host": "mail", **options})
    assert PASSWORD not in str(caught.value)
