"""The daemon exports to a strict receiver, and to another healthd, whose source `otlp` takes it."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from healthd.web.auth import new_token
from tests.servers import daemon, otlp, tcp
from tests.servers.gating import gating
from tests.servers.peers import Answer, Peer
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PAGE = Path(__file__).parents[3] / "docs" / "opentelemetry.md"
KEY = "k3y-of-the-collector"


async def text_of(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.text()


def scraped(text: str) -> otlp.Series:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = {k: str(float(v)) if k == "le" else v for k, v in sample.labels.items()}
                found[sample.name, tuple(sorted(labels.items()))] = sample.value
    return found


async def test_a_pipelines_trace_has_the_gate_and_metrics_are_those_of_a_scrape(peer: Peer, tmp_path: Path) -> None:
    """By the header of the request, with the page's own example; the receiver gets the key, which no output shows."""
    otlp.listen(peer)
    block = PAGE.read_text().partition("```yaml\n")[2].partition("```")[0]
    filled = block.replace("${COLLECTOR_URL}", peer.url).replace("${COLLECTOR_TOKEN}", KEY).replace("10s", "1s ")
    sent: dict[str, Any] = YAML(typ="safe").load(filled)["otlp"]
    async with gating(tmp_path, otlp=sent, environment="production", log={"level": "debug"}) as running:
        body = {"service": "api-0", "policy": "pushed", "candidate": {"version": "2"}, "idempotency_key": "one"}
        traceparent = f"00-{TRACE}-{SPAN}-01"
        asked = await running.call("POST", "/gates/verify", body, traceparent=traceparent)
        assert asked.body["deployment"]["traceparent"] == traceparent
        again = await running.call("POST", "/gates/verify", body, traceparent=f"00-{TRACE}-{'1' * 16}-01")
        assert again.body["id"] == asked.body["id"], "a retry is another span of the pipeline, and the same gate"
        bad = await running.call("POST", "/gates/verify", {**body, "service": "api-1"}, traceparent="not one")
        assert bad.status == 202
        for gate in (asked, bad):
            await running.call("POST", f"/gates/{gate.body['id']}/cancel", {"reason": "seen"})
        await until(lambda: len(otlp.spans(peer)) == 2, "both spans have come")
        first, second = otlp.spans(peer)
        assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, SPAN)
        assert (second.trace_id.hex(), second.parent_span_id) == (bad.body["id"], b"")
        assert otlp.attributes_of(first)["healthd.gate.caller"] == "admin"
        assert next(name for name, _ in otlp.events_of(first)) == "started"

        series = scraped(await text_of(f"{running.daemon.url}/metrics"))
        await until(lambda: bool(otlp.metrics(peer).keys() >= series.keys()), "all of it has come")
        exported = otlp.metrics(peer)
        still = {key for key in series if key[0].startswith(("healthd_check_", "healthd_build", "healthd_config_"))}
        still -= {key for key in still if "age" in key[0] or "seconds" in key[0]}
        assert len(still) > 10
        assert {key: exported[key] for key in still} == {key: series[key] for key in still}
        resource = otlp.resource(peer, otlp.METRICS)
        assert resource["service.namespace"] == "operations"
        assert resource["service.name"] == "healthd"
        assert resource["deployment.environment.name"] == "production"
        assert {received.headers["Authorization"] for received in peer.received} == {f"Bearer {KEY}"}
        assert KEY not in running.daemon.log()


@pytest.mark.parametrize("way", ["closed", "silent", "refuses"])
async def test_a_receiver_that_takes_nothing_disturbs_nothing(peer: Peer, tmp_path: Path, way: str) -> None:
    """Health answers, the loss is counted, the log tells it once, and the daemon ends in time."""
    for path in (otlp.METRICS, otlp.TRACES):
        peer.answer("POST", path, Answer(401, body=f"who is {KEY}?\x07"))
    async with tcp.proxy(9) as hole:
        hole.black_hole()
        port = {"closed": free_port(), "silent": hole.port, "refuses": peer.port}[way]
        sent = {"endpoint": f"http://{HOST}:{port}", "interval": "1s", "timeout": "500ms", "headers": {"X-Key": KEY}}
        async with gating(tmp_path, otlp=sent) as running:
            url = running.daemon.url

            async def is_counted() -> bool:
                text = await text_of(f"{url}/metrics")
                lost = "refused" if way == "refuses" else "dropped"
                lost_items = scraped(text)["healthd_otlp_items_total", (("outcome", lost), ("signal", "metrics"))]
                return lost_items > 0 and 'healthd_otlp_up{signal="metrics"} 0.0' in text

            await until(is_counted, "the loss is counted")
            assert '"alive"' in await text_of(f"{url}/health/live")
            begun = asyncio.get_running_loop().time()
            await running.daemon.stop()
            assert asyncio.get_running_loop().time() - begun < 20
            log = running.daemon.log()
            assert log.count("otlp export failed") == 1
            assert KEY not in log


async def test_a_reload_begins_to_export_and_ends_it(peer: Peer, tmp_path: Path) -> None:
    otlp.listen(peer)
    plain = {"journal": f"sqlite:///{tmp_path / 'journal.db'}", "gates": {"enabled": False}}
    async with daemon.running(plain) as healthd:
        healthd.configure({**plain, "otlp": {"endpoint": peer.url, "interval": "1s"}})
        await until(lambda: bool(peer.received), "metrics have come")
        healthd.configure(plain)

        async def is_gone() -> bool:
            return "healthd_otlp_up{" not in await text_of(f"{healthd.url}/metrics")

        await until(is_gone, "nothing is exported any more")


async def test_another_healthd_takes_it(tmp_path: Path) -> None:
    """As metrics and spans of a service whose source is `otlp`."""
    token, hashed = new_token()
    (there := tmp_path / "there").mkdir()
    (here := tmp_path / "here").mkdir()
    receiving = {
        "journal": f"sqlite:///{there / 'journal.db'}",
        "auth": {"tokens": [{"name": "healthd", "hash": hashed, "scopes": ["telemetry:write"]}]},
        "services": {"healthd": {"source": {"kind": "otlp"}}},
    }
    async with daemon.running(receiving) as receiver:
        sent = {"endpoint": receiver.url, "interval": "1s", "headers": {"Authorization": f"Bearer {token}"}}
        async with gating(here, otlp=sent) as running:
            asked = await running.verify("api-0", "pushed")
            await running.call("POST", f"/gates/{asked.body['id']}/cancel", {"reason": "seen"})

            async def is_taken() -> bool:
                text = await text_of(f"{running.daemon.url}/metrics")
                return all(f'healthd_otlp_up{{signal="{signal}"}} 1.0' in text for signal in ("metrics", "traces"))

            await until(is_taken, "both signals are taken")
            text = await text_of(f"{running.daemon.url}/metrics")
            assert 'healthd_otlp_items_total{outcome="exported",signal="traces"} 1.0' in text
            assert 'healthd_otlp_items_total{outcome="refused",signal="traces"} 0.0' in text
            assert 'healthd_otlp_items_total{outcome="refused",signal="metrics"} 0.0' in text
