"""Actions and sources through a proxy, the only one that knows the names."""

from contextlib import suppress
from pathlib import Path

import pytest

from healthd.config.outgoing import Outgoing
from healthd.http.outgoing import put_in_force
from healthd.model import FailureKind
from healthd.runtime.lookups import noting
from healthd_gates.actions.contract import Ending
from healthd_gates.sources.contract import Arm, SourceUnavailable
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.http_options import HttpConfig
from tests.fakes.sources import desk
from tests.integration.gates.actions.ordering import configured, order, tried
from tests.servers import peers, proxy, tls
from tests.servers.oauth2 import TokenServer
from tests.servers.peers import Answer, Received
from tests.servers.ports import free_port

NOBODY = "198.51.100.1"  # an address of no host (RFC 5737), for which no name is looked up
SCRAPE = {"kind": "scrape", "requests": "requests_total", "errors": 'requests_total{status="500"}', "timeout": "5s"}


async def test_an_action(authority: tls.Authority, tmp_path: Path) -> None:
    context = authority.good().context(tmp_path)
    async with peers.peer(context) as shop, proxy.running({"shop.test": shop.port}) as way:
        shop.answer("POST", "/back", Answer(204))
        put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        tls_options = {"ca": authority.trust, "server_name": "localhost"}
        action = configured(kind="webhook", url="https://shop.test/back", tls=tls_options)
        assert (await tried(action, order())).ending is Ending.DONE
        way.refuses = 502
        outcome = await tried(action, order())
        assert outcome.ending is Ending.RETRY
        assert outcome.detail == f"the proxy 127.0.0.1:{way.port} does not reach shop.test:443 (502)"
        outcome = await tried(configured(kind="webhook", url="http://shop.test/back"), order())
        assert outcome.detail == f"http://shop.test:80 answered 502, through the proxy 127.0.0.1:{way.port}"
        assert not way.malformed


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_says_nothing_or_no_http_is_named(scheme: str) -> None:
    """To an action and a source, which have a deadline for all that they ask."""
    async with proxy.running({}) as way:
        put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        named = f"the proxy 127.0.0.1:{way.port}"
        for silent, said in ((False, f"{named} speaks no HTTP"), (True, f"no answer within 0.5 s through {named}")):
            way.is_silent, way.speaks = silent, b"" if silent else b"SSH-2.0-OpenSSH_9.2\r\n"
            outcome = await tried(
                configured(kind="webhook", url=f"{scheme}://shop.test/back", timeout="500ms"), order()
            )
            assert said in (outcome.detail or "")
            endpoint = Endpoint(HttpConfig(kind="x", timeout=0.5), lambda text: text)
            with noting(), pytest.raises(SourceUnavailable, match=named):
                await endpoint.get(f"{scheme}://shop.test/x")
            await endpoint.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://shop.test/x", "asks for a login (407)"), ("https://shop.test/x", "asks for a login (407)")],
)
async def test_a_source(url: str, words: str) -> None:
    async with proxy.running({}, "a:b") as way:
        put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        endpoint = Endpoint(HttpConfig(kind="x"), lambda text: text)
        try:
            with pytest.raises(SourceUnavailable) as caught:
                await endpoint.get(url)
        finally:
            await endpoint.close()
        assert f"the proxy 127.0.0.1:{way.port} asks for a login (407)" in str(caught.value)


async def test_client_credentials_of_an_action_and_a_source() -> None:
    """The token is sent; one that is refused is asked for once more; an echo of it is masked."""
    async with peers.peer() as shop:
        server = TokenServer("shop", "s3cr3t-MARK")
        server.serve(shop)

        def judged(asked: Received) -> Answer:
            sent = asked.headers.get("Authorization", "")
            return Answer(200) if sent == f"Bearer {server.given[-1]}" else Answer(401, body=f"not {sent}")

        shop.answer("POST", "/back", judged)
        shop.answer("GET", "/metrics", judged)
        oauth2 = {"token_url": f"{shop.url}/token", "client_id": "shop", "client_secret": "s3cr3t-MARK"}
        action = configured(kind="webhook", url=f"{shop.url}/back", oauth2=oauth2)
        assert (await tried(action, order())).ending is Ending.DONE
        endpoint = Endpoint(HttpConfig.model_validate({"kind": "x", "oauth2": oauth2}), lambda text: text)
        try:
            assert (await endpoint.get(f"{shop.url}/metrics")).status == 200
            server.given.append("of somebody else")
            assert (await endpoint.get(f"{shop.url}/metrics")).status == 200
            assert len(server.given) == 4
        finally:
            await endpoint.close()
        shop.answer("POST", "/back", lambda asked: Answer(401, body=f"not {asked.headers['Authorization']}"))
        outcome = await tried(action, order())
        assert (outcome.ending, outcome.detail) == (Ending.REFUSED, f"{shop.url} answered 401: not Bearer ***")
        shop.answer("POST", "/token", Answer(503))
        outcome = await tried(action, order())
        assert outcome.ending is Ending.RETRY
        assert outcome.detail == f"the token server {shop.host}:{shop.port} answered 503"
        shop.answer("POST", "/token", Answer(401, json={"error": "invalid_client"}))
        outcome = await tried(action, order())
        assert outcome.ending is Ending.REFUSED
        assert outcome.detail.endswith("answered 401: invalid_client")


async def test_the_targets_of_a_service_are_asked_past_every_proxy() -> None:
    """As their traffic reaches them; a proxy that a source names is taken."""
    sources = (SCRAPE, {"kind": "http", "url": "/metrics", "requests": "a", "errors": "b", "timeout": "300ms"})
    async with proxy.running({NOBODY: 0}) as way:
        put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        way.refuses = 502
        for source in sources:
            gate = desk({**source, "timeout": "300ms"}, candidate=Arm("2", urls=(f"http://{NOBODY}:8080",)))
            with suppress(SourceUnavailable):
                await gate.look()
            await gate.source.close()
        assert not way.asked
        gate = desk({**SCRAPE, "proxy": way.url}, candidate=Arm("2", urls=(f"http://{NOBODY}:8080",)))
        with pytest.raises(SourceUnavailable, match=f"answered 502, through the proxy 127.0.0.1:{way.port}"):
            await gate.look()
        await gate.source.close()
        assert way.asked == [("GET", f"http://{NOBODY}:8080/metrics")]


async def test_what_fails_on_the_way_is_no_instance_that_is_down() -> None:
    """It would count against the candidate."""
    gone = f"http://127.0.0.1:{free_port()}"
    oauth2 = {"token_url": gone, "client_id": "shop", "client_secret": "s3cr3t-MARK"}
    for option, is_down in (({}, True), ({"proxy": gone}, False), ({"oauth2": oauth2}, False)):
        endpoint = Endpoint(HttpConfig.model_validate({"kind": "x", **option}), lambda text: text)
        with pytest.raises(SourceUnavailable) as caught:
            await endpoint.get(f"http://127.0.0.1:{free_port()}/metrics")
        await endpoint.close()
        assert (caught.value.kind, caught.value.is_down) == (FailureKind.CONNECT, is_down)
