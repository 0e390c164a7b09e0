"""One of ten shops is dead in the new version, and the total hides it: two real versions, Prometheus and healthd."""

from pathlib import Path

from healthd.web.auth import new_token
from healthd_gates.client.client import GateClient
from healthd_gates.domain.standing import Finding
from tests.acceptance.gate import load, shop
from tests.acceptance.gate.desk import NEW, OLD, PATIENCE, scraping_now
from tests.acceptance.gate.shop import Flaw
from tests.servers import daemon, prometheus

RATES = {f"shop-{n}": 8.0 for n in range(9)} | {"pay": 2.5}
CRITERION = {"kind": "error_rate", "limit": "10%", "by": "shop"}


async def test_the_dead_one_is_found_and_named(tmp_path: Path) -> None:
    """The total is well within its limit. The gate fails, and its sentence, its document and its counts say which."""
    token, hashed = new_token()
    with (
        shop.running(OLD, {}) as old,
        shop.running(NEW, {"pay": Flaw(failing=1.0)}) as new,
        prometheus.running({OLD: [old.address], NEW: [new.address]}, every="1s") as server,
        load.running(old.url, RATES),
        load.running(new.url, RATES),
    ):
        source = {
            "kind": "prometheus",
            "url": server.url,
            "requests": 'http_requests_total{version="$version"}',
            "errors": 'http_requests_total{version="$version",status=~"5.."}',
        }
        policy = {"initial_delay": "2s", "interval": "1s", "blip": "2s", "observe": {"min": "60s", "max": "90s"}}
        configuration = {
            "journal": f"sqlite:///{tmp_path / 'journal.db'}",
            "auth": {"tokens": [{"name": "pipeline", "hash": hashed, "scopes": ["gates:verify", "gates:read"]}]},
            "policies": {"by-shop": {**policy, "criteria": [CRITERION]}},
            "services": {
                "shops": {
                    "targets": {"blue": old.url, "green": new.url},
                    "source": source,
                    "policy": "by-shop",
                }
            },
        }
        async with daemon.running(configuration) as healthd, GateClient(healthd.url, token, retry_for=PATIENCE) as it:
            await scraping_now(server)
            started = await it.verify(
                {
                    "service": "shops",
                    "candidate": {"version": NEW, "target": "green"},
                    "baseline": {"version": OLD, "target": "blue"},
                }
            )
            gate = await it.gate(started.id, wait=100.0)
    assert gate.verdict == "fail"
    assert gate.standing is not None
    (report,) = gate.standing.criteria
    assert " on shop pay: 100 % (" in report.sentence
    assert report.observed is not None
    assert report.observed < 0.05
    assert (report.strata_seen, report.strata[0].name, report.strata[0].finding) == (10, "pay", Finding.HARM)
    assert report.strata[0].bad == report.strata[0].requests > 10
