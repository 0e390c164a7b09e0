"""How a client reaches a daemon that is not always there."""

import asyncio

import pytest

from healthd_gates.client.credentials import FixedToken
from healthd_gates.client.transport import Refused, Transport, Unreachable
from tests.servers import proxy
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port
from tests.servers.waiting import HANGS

BUSY = Answer(503, headers={"Retry-After": "0"})


async def send(url: str, *, retry_for: float = HANGS, token: str | None = None, timeout: float = HANGS) -> int:
    transport = Transport(url, FixedToken(token), retry_for=retry_for, timeout=timeout)
    try:
        return (await transport.send("POST", "/gates/verify", body={"a": 1}, headers={"Idempotency-Key": "k"})).status
    finally:
        await transport.close()


async def test_what_fails_on_the_way_is_sent_again(peer: Peer) -> None:
    """The same call with the same key, so that it is the same gate."""
    peer.answer_once("POST", "/gates/verify", Answer(hang_up=True), BUSY, Answer(202))
    assert await send(peer.url) == 202
    assert [received.headers["Idempotency-Key"] for received in peer.received] == ["k", "k", "k"]
    assert {received.body for received in peer.received} == {b'{"a": 1}'}


@pytest.mark.parametrize("status", [400, 401, 404, 409, 412, 422, 500])
async def test_an_answer_is_not_asked_for_twice(peer: Peer, status: int) -> None:
    """No means no."""
    peer.answer("POST", "/gates/verify", Answer(status))
    assert await send(peer.url) == status
    assert len(peer.received) == 1


async def test_a_daemon_is_given_the_time_that_it_asks_for(peer: Peer) -> None:
    """`Retry-After` counts more than the client's own pauses."""
    peer.answer_once("POST", "/gates/verify", Answer(429, headers={"Retry-After": "1"}), Answer(202))
    start = asyncio.get_running_loop().time()
    assert await send(peer.url) == 202
    assert asyncio.get_running_loop().time() - start >= 1.0


async def test_patience_ends() -> None:
    """The message says who was not there, and for how long."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=rf"{url} could not be asked for 0\.1 s: "):
        await send(url, retry_for=0.1)


@pytest.mark.usefixtures("hung_resolver")
async def test_a_name_that_is_not_resolved_in_time_is_told() -> None:
    """A pipeline's runner often stands where names are looked up slowly."""
    with pytest.raises(Unreachable, match=r"could not be asked: the name hung\.example was not resolved within \d"):
        await send("http://hung.example", retry_for=0.0, timeout=3.0)


async def test_a_command_goes_through_the_proxy_of_the_environment(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As curl does: the runner of a pipeline may have no other way out; past it to what NO_PROXY covers."""
    peer.answer("POST", "/gates/verify", Answer(202))
    async with proxy.running({"healthd.test": peer.port}, "ci:w0rd") as way:
        monkeypatch.setenv("http_proxy", way.url.replace("//", "//ci:w0rd@"))
        monkeypatch.setenv("NO_PROXY", "elsewhere.test")
        assert await send("http://healthd.test") == 202
        assert way.asked == [("POST", "http://healthd.test/gates/verify")]
        monkeypatch.setenv("http_proxy", way.url)
        monkeypatch.setenv("https_proxy", way.url)
        for scheme in ("http", "https"):
            with pytest.raises(Unreachable, match=rf"the proxy 127\.0\.0\.1:{way.port} asks for a login \(407\)"):
                await send(f"{scheme}://healthd.test", retry_for=0.0)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(Unreachable, match=r"the proxy is not reached: .* refused the connection"):
            await send("http://healthd.test", retry_for=0.0)
        monkeypatch.setenv("http_proxy", "socks5://ci:w0rd@127.0.0.1:1080")
        with pytest.raises(
            Unreachable, match=r"the proxy of the environment is of another kind: write http://host:port$"
        ):
            await send("http://healthd.test", retry_for=0.0)
        assert not way.malformed


async def test_a_token_goes_to_nobody_else(peer: Peer) -> None:
    """A redirect is an answer, not a way."""
    peer.answer("POST", "/gates/verify", Answer(307, headers={"Location": f"{peer.url}/elsewhere"}))
    assert await send(peer.url, token="secret") == 307
    assert [received.path for received in peer.received] == ["/gates/verify"]
    assert peer.received[0].headers["Authorization"] == "Bearer secret"


def test_a_refusal_says_why() -> None:
    """In the daemon's own words, and at least its status where there are none."""
    assert str(Refused(409, {"title": "Locked", "detail": "until noon"})) == "Locked: until noon"
    assert str(Refused(502, {})) == "status 502"


async def test_who_waits_is_told_for_what_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, though it is tried many times."""
    monkeypatch.setattr("healthd_gates.client.transport._LATE", 0.5)
    url, told = f"http://127.0.0.1:{free_port()}", list[str]()
    transport = Transport(url, FixedToken(None), retry_for=3.0, timeout=HANGS, waiting=told.append)
    with pytest.raises(Unreachable):
        await transport.send("GET", "/gates")
    await transport.close()
    (said,) = told
    assert said.startswith(f"{url} could not be asked yet: ")
    assert said.endswith("; waiting for up to 3 s")


async def test_who_waits_for_a_daemon_that_cannot_answer_is_told_its_reason(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it said last, such as of a journal that is away."""
    monkeypatch.setattr("healthd_gates.client.transport._LATE", 0.5)
    problem = {"title": "Journal unavailable", "detail": "The journal cannot be read now: refused."}
    away = Answer(503, problem, headers={"Retry-After": "1"})
    peer.answer_once("GET", "/gates", away, Answer(200))
    told = list[str]()
    transport = Transport(peer.url, FixedToken(None), retry_for=HANGS, timeout=HANGS, waiting=told.append)
    assert (await transport.send("GET", "/gates")).status == 200
    assert told == [f"{peer.url} answers 503: The journal cannot be read now: refused; waiting for up to 60 s"]
    await transport.close()


async def test_who_waits_for_silence_is_told_so(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one who is answered soon hears nothing; a call that is to be held open has that time on top."""
    monkeypatch.setattr("healthd_gates.client.transport._LATE", 0.1)
    told = list[str]()
    transport = Transport(peer.url, FixedToken(None), retry_for=0.0, timeout=HANGS, waiting=told.append)
    peer.answer("GET", "/gates", Answer(200, delay=0.3))
    await transport.send("GET", "/gates", held=30.0)
    assert not told
    await transport.send("GET", "/gates")
    assert told == [f"{peer.url} has not answered yet; waiting for up to 60 s"]
    await transport.close()
