"""Prometheus and its companions are real and do what tests ask of them."""

import time

import aiohttp
import pytest

from tests.servers import alertmanager, blackbox, peers, prometheus, tls
from tests.servers.waiting import until


async def test_scrapes_and_evaluates_rules(peer: peers.Peer) -> None:
    """What a target exposes can be queried within a second, and recorded by a rule."""
    peer.answer("GET", "/metrics", peers.Answer(body="answer 42\n", headers={"Content-Type": "text/plain"}))
    rules = "groups: [{name: test, rules: [{record: twice, expr: answer * 2}]}]"
    with prometheus.running({"healthd": [f"{peer.host}:{peer.port}"]}, rules=rules) as server:

        async def recorded() -> bool:
            return [sample["value"][1] for sample in await server.query("twice")] == ["84"]

        await until(recorded, "the rule recorded what was scraped")
        server.stop()
        server.start()
        assert await server.query("vector(1)")


async def test_has_a_history() -> None:
    """Samples of the past are there from the start, so that a query over them needs no waiting."""
    now = time.time()
    samples = [f'requests_total{{code="200"}} {100 * n} {now - 60 + 10 * n:.3f}' for n in range(7)]
    history = "\n".join(["# TYPE requests counter", *samples, "# EOF\n"])
    with prometheus.running(history=history) as server:
        (sample,) = await server.query("increase(requests_total[1m])")
        assert float(sample["value"][1]) == pytest.approx(600, rel=0.2)


async def test_login_and_certificate(authority: tls.Authority) -> None:
    """Behind a login and TLS, it answers whoever has the password."""
    with prometheus.running(authenticates=True, certificate=authority.good()) as server:
        assert server.url.startswith("https://")
        assert await server.query("vector(1)")
        async with aiohttp.ClientSession() as client, client.get(server.url, ssl=False) as response:
            assert response.status == 401


async def test_alert_reaches_the_webhook(peer: peers.Peer) -> None:
    """An alert posted to Alertmanager fires, and is passed on at once."""
    peer.answer("POST", "/hook", peers.Answer())
    with alertmanager.running(f"{peer.url}/hook") as server:
        async with aiohttp.ClientSession(server.url, raise_for_status=True) as client:
            await client.post("/api/v2/alerts", json=[{"labels": {"alertname": "test"}}])
        (received,) = await peer.received_at_least(1)
        assert b'"alertname":"test"' in received.body
        assert [alert["labels"]["alertname"] for alert in await server.alerts()] == ["test"]


async def test_blackbox_probes(peer: peers.Peer) -> None:
    """The exporter's probe of a healthy target succeeds."""
    peer.answer("GET", "/", peers.Answer())
    with blackbox.running() as exporter:
        async with aiohttp.ClientSession() as client, client.get(exporter.probe_url(peer.url)) as response:
            assert "probe_success 1\n" in await response.text()
