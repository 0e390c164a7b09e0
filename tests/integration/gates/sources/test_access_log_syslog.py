"""The log as NGINX and HAProxy send it, by syslog: each request once, and what was lost is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from healthd.model import FailureKind
from healthd_gates.sources.contract import Arm, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from tests.fakes.sources import Desk, desk
from tests.integration.gates.sources import shop
from tests.integration.gates.sources.test_access_log import FORMAT, Sent, agrees
from tests.servers import haproxy, nginx
from tests.servers.ports import HOST, free_port
from tests.servers.process import own_folder
from tests.servers.waiting import until


def requests(gate: Desk) -> float:
    total = gate.total()
    return total.requests if total is not None else 0.0


async def sees(gate: Desk, count: int) -> None:
    async def looked() -> bool:
        with suppress(SourceUnavailable):  # too many of what has come so far do not fit
            await gate.look()
        return requests(gate) == count

    await until(looked, f"{count} requests")


@pytest.mark.parametrize("way", ["udp", "unix"])
async def test_nginx_sends_its_log(way: str) -> None:
    """Both arms, for two gates of one listener: by UDP under load, by a datagram socket in bursts that its queue, ten
    messages on some kernels, can hold."""
    with own_folder() as folder, shop.running("v2") as new, shop.running("v1") as old:
        socket_path = folder / "syslog.sock"
        address = f"udp://{HOST}:{free_port()}" if way == "udp" else f"unix://{socket_path}"
        server = address.removeprefix("udp://").replace("unix://", "unix:")
        arms: dict[str, Any] = {"candidate": Arm("v2", urls=(new.url,)), "baseline": Arm("v1", urls=(old.url,))}
        gates = [
            desk({"kind": "access_log", "syslog": address, "format": FORMAT}, edges=e, **arms) for e in ((1.0,), (2.0,))
        ]
        for gate in gates:
            await gate.look()
        places = f"location /candidate/ {{ proxy_pass {new.url}/; }} location /baseline/ {{ proxy_pass {old.url}/; }}"
        log = f"access_log syslog:server={server},tag=shop t;"
        with nginx.running(f"log_format t '{FORMAT}'; server {{ listen @LISTEN@; {log} {places} }}") as proxy:
            sent = Sent()
            for burst in (150,) if way == "udp" else (8,) * 6:
                await sent.send(proxy.url, burst)
                for gate in gates:
                    await agrees(gate, sent)
        for gate in gates:
            await gate.source.close()
        assert not socket_path.exists()


@pytest.mark.parametrize("form", ["rfc3164", "rfc5424"])
async def test_haproxy_sends_its_log(form: str) -> None:
    """Arms by the server's name."""
    address = f"{HOST}:{free_port()}"
    with shop.running("v2") as new:
        gate = desk(
            {"kind": "access_log", "syslog": f"udp://{address}", "format": "haproxy_http"},
            candidate=Arm("2", target="green"),
        )
        await gate.look()
        log = f" log {address} format {form} local0\n option httplog\n default_backend web\n"
        web = f"{log}backend web\n server green {new.address}"
        with haproxy.running(web) as proxy:
            async with aiohttp.ClientSession() as client:
                for path in ["/"] * 5 + ["/fail"] * 2 + ["/health"]:
                    async with client.get(proxy.url + path) as answer:
                        await answer.read()
            await sees(gate, 7)
        total = gate.total()
        assert total is not None
        assert total.latency is not None
        assert (total.errors, total.latency.total) == (2, 7)
        await gate.source.close()


def line(number: int) -> str:
    return f'1.1.1.1 - - [26/Nov/2026:13:00:00 +0000] "GET /{number} HTTP/1.1" 200 1 "-" "curl/8"'


async def test_tcp_and_a_restart() -> None:
    """What came while nobody listened is a gap, and nothing is counted twice."""
    port = free_port()
    config = {"kind": "access_log", "syslog": f"tcp://{HOST}:{port}"}
    gate = desk(config)
    await gate.look()
    with socket.create_connection((HOST, port)) as client:
        for number in range(50):
            message = f"<190>Nov 26 13:00:00 web nginx: {line(number)}"
            client.sendall(f"{len(message)} {message}".encode() if number % 2 else f"{message}\n".encode())
        await sees(gate, 50)
    await gate.source.close()
    again = desk(config)
    again.cursor = gate.cursor
    await again.look()
    with socket.create_connection((HOST, port)) as client:
        client.sendall("".join(f"<190>Nov 26 13:00:00 web nginx: {line(number)}\n" for number in range(7)).encode())
        await sees(again, 7)
    assert again.gaps == 1
    await again.source.close()


async def test_nonsense_takes_nothing_down() -> None:
    """Bytes, empty messages, a line without an end: each is a line that does not fit."""
    port = free_port()
    gate = desk({"kind": "access_log", "syslog": f"udp://{HOST}:{port}"})
    await gate.look()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for message in (b"", b"\xff" * 60_000, b"<190>" * 1000, b"\0"):
            client.sendto(message, (HOST, port))
        for number in range(60):
            client.sendto(f"<190>Nov 26 13:00:00 web nginx: {line(number)}".encode(), (HOST, port))
    await sees(gate, 60)
    await gate.source.close()


def taken(port: int) -> socket.socket:
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind((HOST, port))
    return other


@pytest.mark.parametrize("ask", [lambda gate: gate.look(), lambda gate: gate.source.inspect()], ids=["look", "inspect"])
async def test_an_address_that_is_taken(ask: Callable[[Desk], Any]) -> None:
    """Is said; and it heals, so that no gate is refused for it."""
    port = free_port()
    with taken(port):
        gate = desk({"kind": "access_log", "syslog": f"udp://{HOST}:{port}"})
        with pytest.raises(SourceUnavailable, match="is in use") as refused:
            await ask(gate)
        assert refused.value.kind is FailureKind.CONNECT
    await gate.look()
    await gate.source.close()


async def test_a_socket_that_was_left_behind(tmp_path: Path) -> None:
    """By a process that was killed: it is replaced; one that is listened at is not."""
    path = tmp_path / "syslog.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
        gate = desk({"kind": "access_log", "syslog": f"unix://{path}"})
        with pytest.raises(SourceUnavailable, match="is in use"):
            await gate.look()
    await gate.look()
    assert isinstance(gate.source, InspectableSource)
    assert any("no latencies" in it for it in (await gate.source.inspect()).doubtful)
    await asyncio.sleep(0)
    await gate.source.close()
