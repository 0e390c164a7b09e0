"""Checks through a proxy: the only one that knows the names of the targets."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.http import HttpConfig
from healthd.checks.websocket import WebSocketConfig
from healthd.config.outgoing import Outgoing
from healthd.http.outgoing import put_in_force
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import peers, proxy, tls
from tests.servers.peers import Answer
from tests.servers.ports import free_port

LOGIN = "shop:p@ss/w0rd-MARK"
NOBODY = "198.51.100.1"  # an address of no host (RFC 5737), for which no name is looked up
ENCODED = "shop:p%40ss%2Fw0rd-MARK@"


def lead(**options: Any) -> None:
    put_in_force(Outgoing.model_validate(options).way)


async def test_plain_http_is_passed_on_with_the_whole_address() -> None:
    async with peers.peer() as shop, proxy.running({"shop.test": shop.port}) as way:
        shop.answer("GET", "/up", Answer(body="fine"))
        lead(proxy=way.url)
        async with watched("http", url="http://shop.test/up?a=%2F", expect={"contains": "fine"}) as check:
            await check.finds(Status.HEALTHY)
        assert way.asked == [("GET", "http://shop.test/up?a=%2F")]
        assert shop.received[0].headers["Host"] == "shop.test"


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_https_goes_through_a_tunnel(keep_alive: bool, authority: tls.Authority, tmp_path: Path) -> None:
    """The certificate is the target's, and is judged as without a proxy."""
    context = authority.good().context(tmp_path)
    async with peers.peer(context) as shop, proxy.running({"shop.test": shop.port}, LOGIN) as way:
        shop.answer("GET", "/", Answer())
        lead(proxy=way.url.replace("//", f"//{ENCODED}"))
        options = {"ca_file": authority.trust, "server_name": "localhost", "keep_alive": keep_alive}
        async with watched("http", url="https://shop.test:8443/", **options) as check:
            for _ in range(2):
                assert (await check.finds(Status.HEALTHY)).observed["statusCode"] == 200
        assert way.asked == [("CONNECT", "shop.test:8443")] * (1 if keep_alive else 2)
        assert not [name for name in shop.received[0].headers if name.lower().startswith("proxy-")]
        async with watched("http", url="https://shop.test:8443/", ca_file=authority.trust) as check:
            assert "the certificate of shop.test" in (await check.finds(Status.UNHEALTHY, FailureKind.TLS)).message


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("login", "sent", "words"),
    [(LOGIN, "", "asks for a login (407)"), (LOGIN, "shop:wrong-MARK@", "does not accept the login (407)")],
)
async def test_a_login_that_lacks(scheme: str, login: str, sent: str, words: str) -> None:
    async with proxy.running({}, login) as way:
        lead(proxy=way.url.replace("//", f"//{sent}"))
        async with watched("http", url=f"{scheme}://shop.test/") as check:
            message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
        assert message.startswith(f"the proxy 127.0.0.1:{way.port} {words}")
        assert "MARK" not in message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "does not let anyone through to shop.test:443 (403)"),
        (502, "does not reach shop.test:443 (502)"),
        (504, "gets no answer from shop.test:443 (504)"),
        (401, "asks for a login (401): write user and password in its address"),
        (405, "does not lead to shop.test:443: it answered 405"),
    ],
)
async def test_a_tunnel_that_is_refused(status: int, words: str) -> None:
    async with proxy.running({}) as way:
        way.refuses = status
        lead(proxy=way.url)
        for kind, options in (
            ("http", {"url": "https://shop.test/"}),
            ("stripe", {"key": "sk_test_MARKMARKMARK", "base_url": "https://shop.test"}),
            ("websocket", {"url": "wss://shop.test/"}),
        ):
            async with watched(kind, **options) as check:
                message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
            assert message == f"the proxy 127.0.0.1:{way.port} {words}"
        assert not way.malformed


async def test_a_proxy_that_is_away() -> None:
    port = free_port()
    lead(proxy=f"http://127.0.0.1:{port}")
    for kind, url in (("http", "http://shop.test/"), ("http", "https://shop.test/"), ("websocket", "wss://shop.test/")):
        async with watched(kind, url=url) as check:
            message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
        assert message == f"the proxy is not reached: 127.0.0.1:{port} refused the connection"


async def test_a_silent_proxy_is_named() -> None:
    async with proxy.running({}) as way:
        way.is_silent = True
        lead(proxy=way.url)
        async with watched("http", url="https://shop.test/", timeout="300ms") as check:
            message = (await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)).message
        assert f"through the proxy 127.0.0.1:{way.port}" in message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_is_no_proxy_at_all_is_named(scheme: str) -> None:
    async with proxy.running({}) as way:
        way.speaks = b"SSH-2.0-OpenSSH_9.2\r\n"
        lead(proxy=way.url)
        for kind, url in (("http", f"{scheme}://shop.test/"), ("websocket", "wss://shop.test/")):
            async with watched(kind, url=url) as check:
                message = (await check.look()).message
            assert f"the proxy 127.0.0.1:{way.port}" in message


async def test_a_way_of_its_own_and_hosts_without_a_proxy() -> None:
    """The option of a check has priority; hosts of `no_proxy`, and this one, are reached directly."""
    async with peers.peer() as shop, proxy.running({"shop.test": shop.port}) as way:
        shop.answer("GET", "/", Answer())
        lead(proxy=f"http://127.0.0.1:{free_port()}", no_proxy="localhost, .internal")
        async with watched("http", url="http://shop.test/", proxy=way.url) as check:
            await check.finds(Status.HEALTHY)
        async with watched("http", url=shop.url) as check:
            await check.finds(Status.HEALTHY)
        assert len(way.asked) == 1
        lead(proxy=way.url)
        async with watched("http", url=f"http://{NOBODY}/", proxy="none", timeout="300ms") as check:
            assert (await check.look()).status is Status.UNHEALTHY
        assert len(way.asked) == 1


async def test_a_reload_reaches_a_kept_connection() -> None:
    async with (
        peers.peer() as shop,
        proxy.running({"shop.test": shop.port}) as first,
        proxy.running({"shop.test": shop.port}) as second,
    ):
        shop.answer("GET", "/", Answer())
        async with watched("http", url="http://shop.test/", keep_alive=True) as check:
            for way in (first, second):
                lead(proxy=way.url)
                await check.finds(Status.HEALTHY)
        assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_websocket_in_the_clear_is_reached_directly() -> None:
    """No proxy that passes requests on takes `ws://`."""
    async with proxy.running({}) as way:
        lead(proxy=way.url)
        for url, own in ((f"ws://{NOBODY}/", None), (f"wss://{NOBODY}/", "none")):
            async with watched("websocket", url=url, proxy=own, timeout="300ms") as check:
                assert (await check.look()).status is Status.UNHEALTHY
        assert not way.asked
        assert not way.malformed


@pytest.mark.parametrize("value", ["proxy.test:3128", "https://proxy.test:3128", "http://proxy.test", "http://p:1/x"])
def test_an_address_that_is_none(value: str) -> None:
    with pytest.raises(ValidationError, match="write http://host:port or none"):
        HttpConfig.model_validate({"url": "http://shop.test/", "proxy": value})


def test_a_proxy_for_websocket_in_the_clear() -> None:
    with pytest.raises(ValidationError, match="proxy is for wss://"):
        WebSocketConfig.model_validate({"url": "ws://shop.test/", "proxy": "http://proxy.test:3128"})
