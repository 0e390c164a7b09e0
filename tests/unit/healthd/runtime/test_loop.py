"""Name lookups on the daemon's event loop."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from healthd.runtime import hosts
from healthd.runtime import loop as loops
from tests.servers.ports import free_port
from tests.servers.waiting import HANGS, until


@pytest.fixture
def hung_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A resolver that never returns while the test runs; the names that it was asked for."""
    asked: list[str] = []
    release = threading.Event()

    def hang(host: str, *_: object) -> list[object]:
        asked.append(host)
        release.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield asked
    release.set()


async def give_up_on(name: str) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo(name, 80), 0.001)


def test_hung_resolver_costs_one_thread_a_name(hung_resolver: list[str]) -> None:
    """An hour of probes that all wait for the same dead resolver must not pile up threads."""

    async def probes() -> int:
        before = threading.active_count()
        for _ in range(50):
            await give_up_on("db.example")
        return threading.active_count() - before

    assert loops.run(probes()) == 1
    assert hung_resolver == ["db.example"]


def test_default_executor_stays_free(hung_resolver: list[str]) -> None:
    """What else runs in threads goes on while names cannot be looked up."""

    async def probes() -> str:
        for number in range(40):
            await give_up_on(f"{number}.example")
        return await asyncio.wait_for(asyncio.to_thread(lambda: "ran"), HANGS)

    assert loops.run(probes()) == "ran"


def test_long_hang_is_said_at_once(hung_resolver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that would wait for a lookup that hangs says so (kind dns) rather than run into its deadline."""

    async def probes() -> None:
        await give_up_on("db.example")
        monkeypatch.setattr(loops, "_HUNG_AFTER", 0.0)
        with pytest.raises(socket.gaierror, match="has not returned"):
            await asyncio.get_running_loop().getaddrinfo("db.example", 80)

    loops.run(probes())


def test_lookups_in_flight_are_bounded(hung_resolver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names are configured, threads are not."""
    monkeypatch.setattr(loops, "_MOST_THREADS", 3)

    async def probes() -> None:
        for number in range(3):
            await give_up_on(f"{number}.example")
        with pytest.raises(socket.gaierror, match="3 other name lookups"):
            await asyncio.get_running_loop().getaddrinfo("next.example", 80)

    loops.run(probes())


def test_a_lookup_waits_for_another_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a start many names are looked up at once; a resolver that is slow is no reason to call them unknown."""
    monkeypatch.setattr(loops, "_MOST_IN_FLIGHT", 3)
    at_once: list[int] = []
    running: list[str] = []

    def slow(host: str, *_: object) -> list[object]:
        running.append(host)
        at_once.append(len(running))
        time.sleep(0.02)
        running.remove(host)
        return [host]

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def lookups() -> list[object]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.getaddrinfo(f"{number}.example", 80) for number in range(20)))

    assert loops.run(lookups()) == [[f"{number}.example"] for number in range(20)]
    assert max(at_once) <= 3


def test_lookups_that_hang_hold_up_no_other(hung_resolver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Many names of one dead zone do not keep the others from being looked up."""
    monkeypatch.setattr(loops, "_MOST_IN_FLIGHT", 3)

    async def probes() -> None:
        for number in range(3):
            await give_up_on(f"{number}.example")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, loops.Loop)
        loop._lookups = {query: replace(each, began=each.began - 10) for query, each in loop._lookups.items()}
        await give_up_on("other.example")
        await until(lambda: hung_resolver[-1] == "other.example", "the resolver is asked for the other name")

    loops.run(probes())


def test_a_silent_address_does_not_hide_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name with two addresses, for drivers that leave connecting to the loop."""
    with socket.create_server(("127.0.0.1", free_port())) as good, socket.socket() as silent, ExitStack() as callers:
        port = good.getsockname()[1]
        silent.bind(("127.0.0.2", port))
        silent.listen(0)
        for _ in range(3):  # who comes after them gets no answer
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.2", port))

        def both(*_: object, **__: object) -> list[object]:
            stream = socket.AF_INET, socket.SOCK_STREAM, 6, ""
            return [(*stream, ("127.0.0.2", port)), (*stream, ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", both)

        async def connect() -> object:
            loop = asyncio.get_running_loop()
            transport, _ = await asyncio.wait_for(loop.create_connection(asyncio.Protocol, "db.example", port), HANGS)
            try:
                return transport.get_extra_info("peername")
            finally:
                transport.abort()

        assert loops.run(connect()) == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "ascii_", "in_tls"),
    [
        ("straße.test", "xn--strae-oqa.test", "xn--strae-oqa.test"),
        ("bücher.test.", "xn--bcher-kva.test.", "xn--bcher-kva.test"),
        ("db.example.", "db.example.", "db.example"),
        ("my_host", "my_host", "my_host"),
        ("::1", "::1", "::1"),
        ("a\u2024\ud800", "a\u2024\ud800", "a\u2024\ud800"),
    ],
)
def test_names_on_the_wire(host: str, ascii_: str, in_tls: str) -> None:
    """By IDNA 2008, by which the ß of a name is not ss, which may be somebody else's."""
    assert (hosts.ascii_name(host), hosts.tls_name(host)) == (ascii_, in_tls)


def test_answers_and_failures_are_those_of_getaddrinfo() -> None:
    """A name that is known and one that cannot exist."""

    async def lookups() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        assert ("127.0.0.1", 80) in [info[4] for info in found]
        with pytest.raises(socket.gaierror, match="cannot be"):
            await loop.getaddrinfo("a" * 70, 80)

    loops.run(lookups())


def test_a_lookup_that_could_not_be_begun_is_begun_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without threads says so, and does not keep the name from being resolved when it is over."""

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def lookups() -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            for _ in range(100):
                with pytest.raises(socket.gaierror, match="cannot be begun: can't start new thread"):
                    await loop.getaddrinfo("localhost", 80)
        assert await loop.getaddrinfo("localhost", 80)

    loops.run(lookups())


def test_a_fault_in_a_lookup_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the resolver raises, nobody waits for it, and the name may be asked for again."""

    def break_down(*_: object) -> list[object]:
        raise MemoryError("no more")

    async def lookups() -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", break_down)
            with pytest.raises(socket.gaierror, match="no more"):
                await loop.getaddrinfo("localhost", 80)
        assert await loop.getaddrinfo("localhost", 80)

    loops.run(lookups())


def test_a_name_that_hung_is_tried_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that was put right answers, though an old lookup never returns; and what it says then is not heard."""
    release = threading.Event()
    real = socket.getaddrinfo

    def hang(*_: object) -> list[object]:
        release.wait()
        return []

    async def lookups() -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", hang)
            await give_up_on("localhost")
        assert socket.getaddrinfo is real
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 0.05)
        monkeypatch.setattr(loops, "_TRIED_ANEW_AFTER", 0.0)
        assert await loop.getaddrinfo("localhost", 80)
        release.set()
        await asyncio.sleep(0.05)
        assert await loop.getaddrinfo("localhost", 80)

    loops.run(lookups())


def test_every_address_is_of_both_families() -> None:
    """As `[::]:8080` means elsewhere: a pod's network may have either."""
    try:  # a kernel that has the protocol may still have no address of it
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs the address ::1")

    async def serve() -> list[str]:
        loop, answered = asyncio.get_running_loop(), []
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "::", 0)
        port = server.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
            answered.append(host)
            transport.abort()
        server.close()
        return answered

    assert loops.run(serve()) == ["127.0.0.1", "::1"]
