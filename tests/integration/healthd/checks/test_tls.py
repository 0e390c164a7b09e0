"""The tls check's truth table, against real handshakes."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import ports, streams, tcp, tls
from tests.servers.waiting import until

DAY = timedelta(days=1)
Row = tuple[tls.Certificate, Status, FailureKind | None, str]


@pytest.fixture
def rows(authority: tls.Authority) -> dict[str, Row]:
    soon = FailureKind.THRESHOLD
    return {
        "good": (authority.good(), Status.HEALTHY, None, ""),
        "expired": (authority.expired(), Status.UNHEALTHY, FailureKind.EXPIRED, "has expired"),
        "not yet valid": (authority.not_yet_valid(), Status.UNHEALTHY, FailureKind.TLS, "not valid yet"),
        "wrong host": (authority.wrong_host(), Status.UNHEALTHY, FailureKind.TLS, "for another host"),
        "self-signed": (tls.self_signed(), Status.UNHEALTHY, FailureKind.TLS, "self-signed"),
        "expiring": (authority.expiring(20 * DAY), Status.DEGRADED, soon, "expires in 20 days"),
        "expiring soon": (authority.expiring(3 * DAY), Status.UNHEALTHY, soon, "expires in 3 days"),
        "expiring now": (authority.expiring(DAY / 2), Status.UNHEALTHY, soon, "expires in 12 hours"),
        "intermediate": (authority.intermediate_expiring(20 * DAY), Status.DEGRADED, soon, "expires in 20 days"),
    }


@pytest.mark.parametrize(
    "row",
    [
        "good",
        "expired",
        "not yet valid",
        "wrong host",
        "self-signed",
        "expiring",
        "expiring soon",
        "expiring now",
        "intermediate",
    ],
)
async def test_truth_table(authority: tls.Authority, tmp_path: Path, rows: dict[str, Row], row: str) -> None:
    """Each fault has its status, its kind and its words; the earliest date of the chain is known in every case."""
    certificate, status, kind, words = rows[row]
    async with (
        tls.serving(certificate, tmp_path) as server,
        watched("tls", host=server.host, port=server.port, ca_file=authority.trust) as check,
    ):
        result = await check.finds(status, kind)
    assert words in result.message
    assert result.observed["certificateExpires"] == min(certificate.not_after()).isoformat()


async def test_unknown_authority(authority: tls.Authority, tmp_path: Path) -> None:
    """A good certificate from somebody whom the system does not know."""
    async with (
        tls.serving(authority.good(), tmp_path) as server,
        watched("tls", host=server.host, port=server.port) as check,
    ):
        result = await check.finds(Status.UNHEALTHY, FailureKind.TLS)
        assert "authority that is not trusted" in result.message
        assert result.observed["certificateDaysLeft"] == pytest.approx(365, abs=0.1)


async def test_superfluous_expired_certificate_is_degraded(authority: tls.Authority, tmp_path: Path) -> None:
    """One that is sent along but that this client does not rely on: other clients may, so it is not green."""
    good, expired = authority.good(), authority.intermediate_expiring(-DAY).chain[1]
    padded = tls.Certificate(good.key, (*good.chain, expired))
    async with (
        tls.serving(padded, tmp_path) as server,
        watched("tls", host=server.host, port=server.port, ca_file=authority.trust) as check,
    ):
        result = await check.finds(Status.DEGRADED, FailureKind.EXPIRED)
        assert "others may" in result.message
        assert result.observed["certificateDaysLeft"] == pytest.approx(365, abs=0.1)


HOUR = DAY / 24


@pytest.mark.parametrize(
    ("lifetime", "left", "options", "status"),
    [
        (90 * DAY, 29 * DAY, {}, Status.HEALTHY),  # ACME clients renew at a third
        (90 * DAY, 15 * DAY, {}, Status.DEGRADED),
        (90 * DAY, 4 * DAY, {}, Status.UNHEALTHY),
        (45 * DAY, 14 * DAY, {}, Status.HEALTHY),
        (45 * DAY, 8 * DAY, {}, Status.DEGRADED),
        (6 * DAY, 5 * DAY, {}, Status.HEALTHY),
        (6 * DAY, DAY, {}, Status.DEGRADED),
        (6 * DAY, 6 * HOUR, {}, Status.UNHEALTHY),
        (12 * HOUR, 4 * HOUR, {}, Status.HEALTHY),
        (12 * HOUR, 2 * HOUR, {}, Status.DEGRADED),
        (730 * DAY, 29 * DAY, {}, Status.DEGRADED),
        (90 * DAY, 29 * DAY, {"degraded": "30d"}, Status.DEGRADED),
        (90 * DAY, 29 * DAY, {"unhealthy": "30d"}, Status.UNHEALTHY),
        (90 * DAY, 2 * DAY, {"degraded": "1d"}, Status.HEALTHY),
    ],
)
async def test_what_is_left_is_held_against_the_lifetime(
    authority: tls.Authority,
    tmp_path: Path,
    lifetime: timedelta,
    left: timedelta,
    options: dict[str, str],
    status: Status,
) -> None:
    """A certificate that renews by itself is never degraded while it does; own limits are as they are given."""
    certificate = authority.of_lifetime(lifetime, left=left)
    async with (
        tls.serving(certificate, tmp_path) as server,
        watched("tls", host=server.host, port=server.port, ca_file=authority.trust, **options) as check,
    ):
        result = await check.finds(status, None if status is Status.HEALTHY else FailureKind.THRESHOLD)
    assert result.observed["certificateLifetimeDays"] == pytest.approx(lifetime / DAY, abs=0.1)
    assert "without a name" not in result.message


async def test_server_name(authority: tls.Authority, tmp_path: Path) -> None:
    """The name that the certificate is for, where the host is an address."""
    async with (
        tls.serving(authority.wrong_host(), tmp_path) as server,
        watched(
            "tls", host="127.0.0.1", port=server.port, ca_file=authority.trust, server_name="elsewhere.example"
        ) as check,
    ):
        await check.finds(Status.HEALTHY)


async def test_nothing_but_plain_text() -> None:
    """A peer that speaks no TLS, one that hangs up in the handshake, and nobody at all."""

    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with streams.listening(ssh) as port, watched("tls", host="localhost", port=port) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.TLS)
    async with streams.listening(hang_up) as port, watched("tls", host="localhost", port=port) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
    async with watched("tls", host="localhost", port=ports.free_port()) as check:
        assert "refused" in (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message


async def test_silence_is_a_timeout_and_leaves_nothing_behind() -> None:
    """A handshake that never goes on is given up within the deadline."""
    with tcp.silent() as listener:
        async with watched("tls", host="localhost", port=listener.port, timeout="1s") as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            await asyncio.sleep(0)
            before, tasks = psutil.Process().num_fds(), len(asyncio.all_tasks())
            for _ in range(3):
                await check.gives_up()
            await until(lambda: psutil.Process().num_fds() <= before, "the sockets are closed")
            await until(lambda: len(asyncio.all_tasks()) <= tasks, "the tasks have ended")


async def test_distrust_is_told_though_the_dates_are_not(tmp_path: Path) -> None:
    """A server that stays silent when it is asked a second time cannot hide what was wrong at first."""
    context, handshakes = tls.self_signed().context(tmp_path), 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal handshakes
        handshakes += 1
        if handshakes == 1:
            await writer.start_tls(context)
        await asyncio.sleep(10)

    options = {"host": "localhost", "timeout": "3s"}
    async with streams.listening(once) as port, watched("tls", port=port, **options) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.TLS)
        assert "self-signed" in result.message
        assert result.observed == {}


async def test_unreadable_ca_file(tmp_path: Path) -> None:
    """A fault of the configuration, named."""
    empty = tmp_path / "empty.crt"
    empty.write_text("")
    for path in (tmp_path / "absent.crt", empty):
        async with watched("tls", host="localhost", port=1, ca_file=path) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)


@pytest.mark.parametrize(("offered", "kind"), [(True, None), (False, FailureKind.TLS)])
@pytest.mark.parametrize("protocol", ["smtp", "postgres"])
async def test_starttls(
    authority: tls.Authority, tmp_path: Path, protocol: str, offered: bool, kind: FailureKind | None
) -> None:
    """TLS after a few words in the clear, and a server that declines."""
    context = authority.good().context(tmp_path)
    serve = _serve_smtp if protocol == "smtp" else _serve_postgres

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer, context if offered else None)

    options: dict[str, Any] = {"ca_file": authority.trust, "starttls": protocol}
    async with streams.listening(handle) as port, watched("tls", host="localhost", port=port, **options) as check:
        await check.finds(Status.HEALTHY if offered else Status.UNHEALTHY, kind)


async def _serve_smtp(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls_context: ssl.SSLContext | None
) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    assert (await reader.readline()).startswith(b"EHLO ")
    writer.write(b"250-mail.example\r\n250-STARTTLS\r\n250 HELP\r\n" if tls_context else b"250 mail.example\r\n")
    assert await reader.readline() == b"STARTTLS\r\n"
    writer.write(b"220 go ahead\r\n" if tls_context else b"502 not implemented\r\n")
    if tls_context:
        await writer.start_tls(tls_context)
    await reader.read()


async def _serve_postgres(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls_context: ssl.SSLContext | None
) -> None:
    assert await reader.readexactly(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
    writer.write(b"S" if tls_context else b"N")
    if tls_context:
        await writer.start_tls(tls_context)
    await reader.read()


async def test_what_is_named_is_trusted(authority: tls.Authority, tmp_path: Path) -> None:
    """The very certificate, or one between it and the root, in place of an authority: the same on every Python."""
    certificate = authority.good()
    named, _ = certificate.save(tmp_path, "named")
    async with (
        tls.serving(certificate, tmp_path) as server,
        watched("tls", host=server.host, port=server.port, ca_file=named) as check,
    ):
        await check.finds(Status.HEALTHY)
