"""Receivers by Apprise: to a peer and to a mail server of the tests' own, with what is refused, late and silent."""

import asyncio
import json
import threading
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import aiohttp
import pytest

from healthd.notifiers.contract import DeliveryError
from healthd.notifiers.notice import Notice, Severity
from healthd.runtime.redaction import Redactor, secrets_of
from tests.integration.healthd.notifiers.test_notifiers import DOWN, GATE, WELL, notifying
from tests.servers import command, daemon, tcp
from tests.servers.peers import Answer, Peer
from tests.servers.ports import HOST, free_port
from tests.servers.smtp import MailServer
from tests.servers.waiting import until

KEY = "Kq8vX2Lw9pTz4nRb"
USER = "carts-on-call"


def address(peer: Peer, rest: str = KEY) -> str:
    return f"json://{USER}:{KEY}@{HOST}:{peer.port}/{rest}"


def accept(peer: Peer, answer: Answer | None = None) -> None:
    peer.answer("POST", f"/{KEY}", answer or Answer(200, body="ok"))


async def test_one_message_for_all_with_the_worst_in_front(peer: Peer) -> None:
    """With Apprise's own word for how bad it is; nobody is mentioned by what a dependency says."""
    accept(peer)
    async with notifying("apprise", url=address(peer)) as apprise:
        await apprise.send([GATE, DOWN])
        await apprise.send([WELL])
        await apprise.send([GATE])
    first, end, warning = [received.json() for received in peer.received]
    assert isinstance(first, dict)
    assert isinstance(end, dict)
    assert isinstance(warning, dict)
    assert first["title"] == "[production] CRITICAL: db is unhealthy; also 1 firing: api"
    assert first["message"].index("CRITICAL: db") < first["message"].index("WARNING: api 2.0 failed")
    assert "refused <@\u200beveryone> & gone" in first["message"]
    assert "https://wiki.test/db" in first["message"]
    assert (first["type"], warning["type"], end["type"]) == ("failure", "warning", "success")
    assert "github" not in json.dumps(first), "a picture of Apprise's own would be fetched by every reader"


async def test_mail_by_a_server_that_apprise_talks_to() -> None:
    """Another of its services, over the wire that it has."""
    server = MailServer()
    async with await asyncio.start_server(server, HOST, free_port()) as listening:
        port = listening.sockets[0].getsockname()[1]
        url = f"mailto://{HOST}:{port}/?from=healthd@example.com&to=team@example.com&format=text"
        async with notifying("apprise", url=url) as apprise:
            await apprise.send([DOWN])
    (raw,) = server.mails
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["Subject"] == "[production] CRITICAL: db is unhealthy"
    assert server.recipients == ["team@example.com"]
    assert "since 2026-03-29 03:00:00 UTC" in raw.decode()


async def test_more_than_a_receiver_takes_is_a_line_each(peer: Peer) -> None:
    """JSON takes 32 KiB: two hundred notices with a cause of 300 characters are more."""
    accept(peer)
    many = [
        replace(DOWN, key=f"check:c{each}", summary=f"c{each} is unhealthy", detail="x" * 300) for each in range(200)
    ]
    async with notifying("apprise", url=address(peer)) as apprise:
        await apprise.send([replace(GATE, severity=Severity.INFO), *many])
    (message,) = [received.json() for received in peer.received]
    assert isinstance(message, dict)
    lines = message["message"].splitlines()
    assert lines[0] == "CRITICAL: c0 is unhealthy"
    assert len(lines) == 201
    assert lines[-1] == "INFO: api 2.0 failed"


@pytest.mark.parametrize(
    ("answer", "said", "lost"),
    [
        (Answer(400, body=KEY), "error=400", False),
        (Answer(429, headers={"Retry-After": "30"}), "error=429", False),
        (Answer(503), "error=503", False),
        (Answer(hang_up=True), "JSON", True),
        (Answer(delay=30), "timed out", True),
    ],
)
async def test_why_it_failed_is_told_without_a_secret(peer: Peer, answer: Answer, said: str, lost: bool) -> None:
    """In the words of the library, and of the system where nobody answered; it is tried again."""
    accept(peer, answer)
    async with notifying("apprise", url=address(peer), timeout="3s" if answer.delay else "30s") as apprise:
        with pytest.raises(DeliveryError, match=said) as refusal:
            await apprise.send([DOWN])
    assert not refusal.value.final
    assert refusal.value.perhaps_taken is lost
    assert KEY not in str(refusal.value)


async def test_a_port_that_is_closed_is_named_as_such() -> None:
    async with notifying("apprise", url=f"json://{HOST}:{free_port()}/{KEY}") as apprise:
        with pytest.raises(DeliveryError, match="Connection refused") as refusal:
            await apprise.send([DOWN])
    assert not refusal.value.perhaps_taken
    assert KEY not in str(refusal.value)


class Trickling:
    """A server whose answers come byte by byte, so that no timeout of a socket sees that they do not end; until
    `finish` is set."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()
        self.requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self.finish.is_set():
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(("again", "requests"), [(DOWN, 1), (replace(DOWN, severity=Severity.INFO), 2)])
async def test_a_receiver_that_hangs_holds_one_thread_and_no_message_comes_twice(again: Notice, requests: int) -> None:
    """The next try is refused meanwhile. What was accepted after its time is not sent again, but what is new is, and a
    reminder too."""
    server = Trickling()
    async with await asyncio.start_server(server, HOST, free_port()) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with notifying("apprise", url=f"json://{HOST}:{port}/") as apprise:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(apprise.send([DOWN]), 0.5)
            with pytest.raises(DeliveryError, match="still under way"):
                await apprise.send([DOWN])
            await until(lambda: _sending() == 1, "the refused one has ended")
            server.finish.set()
            await until(lambda: not _sending(), "the thread has ended")
            await apprise.send([again])
            assert server.requests == requests
            await apprise.send([DOWN])
            await apprise.send([DOWN, GATE])
            assert server.requests == requests + 2


def _sending() -> int:
    return [thread.name for thread in threading.enumerate()].count("apprise")


@pytest.mark.parametrize(
    ("url", "needles"),
    [
        (f"tgram://123456789:{KEY}/87654321", [f"123456789:{KEY}", KEY]),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{KEY}/#general", ["T1JJ3T3L2", "A1BRTD4JD", KEY]),
        ("mailto://me:hunter22@example.com", ["hunter22"]),
        (f"pover://{KEY}@{KEY[::-1]}", [KEY, KEY[::-1]]),
        (f"json://example.com/?+X-Key={KEY}", [KEY]),
    ],
)
async def test_each_part_that_may_be_a_key_is_redacted(url: str, needles: list[str]) -> None:
    """A service's web address, which an error may quote, has it in another place."""
    async with notifying("apprise", url=url) as apprise:
        redact = Redactor(secrets_of(apprise._config))  # type: ignore[attr-defined]
        shown = apprise._config.model_dump_json()  # type: ignore[attr-defined]
    for needle in needles:
        assert needle not in shown
        assert needle not in redact(f"Max retries exceeded with url: /bot{needle}/sendMessage")


async def test_the_daemon_tells_by_apprise_whatever_becomes_of_the_others(peer: Peer, tmp_path: Path) -> None:
    """One receiver is told; one is silent and one refuses, which `/metrics` shows; health answers all the while, and no
    output has a key: not at the level debug, nor `config show`, nor `config check`."""
    accept(peer)
    peer.answer("POST", "/refuses", Answer(403, body=f"no {KEY}"))
    soon = {"interval": "1s", "timeout": "1s", "fall": 1, "rise": 1, "critical": True}
    base = {"kind": "apprise", "group_wait": "100ms", "timeout": "3s"}
    port = free_port()
    async with tcp.proxy(9) as hole:
        hole.black_hole()
        configuration = {
            "environment": "production",
            "journal": f"sqlite:///{tmp_path / 'journal.db'}",
            "gates": {"enabled": False},
            "log": {"level": "debug"},
            "checks": {"db": {"kind": "tcp", "host": HOST, "port": port, **soon}},
            "notifiers": {
                "told": {**base, "url": address(peer)},
                "silent": {**base, "url": f"json://{USER}:{KEY}@{HOST}:{hole.port}/{KEY}"},
                "refuses": {**base, "url": address(peer, f"refuses?+X-Key={KEY}")},
            },
            "routes": [{"to": ["told", "silent", "refuses"]}],
        }
        async with daemon.running(configuration) as healthd, aiohttp.ClientSession() as client:

            async def get(path: str) -> str:
                async with client.get(f"{healthd.url}{path}") as response:
                    return await response.text()

            async def two_are_down() -> bool:
                text = await get("/metrics")
                return all(f'healthd_notifier_up{{notifier="{name}"}} 0.0' in text for name in ("silent", "refuses"))

            await until(two_are_down, "both are seen to be down")
            await until(lambda: _told(peer) == ["failure"], "the one that works is told")
            async with await asyncio.start_server(lambda _, writer: writer.close(), HOST, port):
                await until(lambda: _told(peer) == ["failure", "success"], "and told of the end")
            outputs = [healthd.log(), await get("/metrics"), await get("/health"), await get("/")]
            outputs.append(_printed(command.healthd("config", "show", "--config", healthd.file)))
            outputs.append(_printed(command.healthd("config", "check", healthd.file)))
            assert 'healthd_notifier_up{notifier="told"} 1.0' in outputs[1]
            await healthd.stop()
            outputs.append(healthd.log())
    assert "error=403" in outputs[-1]
    assert [output for output in outputs if KEY in output] == []


def _printed(outcome: command.Outcome) -> str:
    assert outcome.code == 0, outcome
    return outcome.out + outcome.err


def _told(peer: Peer) -> list[str]:
    return [each.json()["type"] for each in peer.received if each.path == f"/{KEY}"]  # type: ignore[index]
