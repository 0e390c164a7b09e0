"""What Prometheus scrapes."""

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from healthd.model import FailureKind, Measure, Probe, Result, Status, Transition
from tests.fakes.monitoring import DOWN, MIDNIGHT, UP
from tests.unit.healthd.web.conftest import Client, Open

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def scrape(client: Client, accept: str = "text/plain") -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name and label values."""
    response = await client.get("/metrics", headers={"Accept": accept})
    assert response.status == 200
    text = await response.text()
    parse = parse_openmetrics if "openmetrics" in response.headers["Content-Type"] else parse_text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
async def test_both_formats_are_negotiated(open_site: Open, accept: str) -> None:
    """A strict parser of either format reads the same numbers."""
    site, client = await open_site()
    site.put("db", Result.healthy(latency=0.25))
    found = await scrape(client, accept)
    assert found["healthd_check_status"]["db", "healthy"] == 1
    assert found["healthd_check_status"]["db", "unhealthy"] == 0
    assert found["healthd_check_status"]["mail", "unknown"] == 1
    assert found["healthd_check_latency_seconds"]["db",] == 0.25
    assert found["healthd_group_ready"]["ready",] == 1
    assert found["healthd_build_info"]["test", "1.2.3"] == 1


async def test_what_a_check_measured(open_site: Open) -> None:
    """Under its own name for it, with the unit; not once it is overdue."""
    site, client = await open_site()
    site.put("db", Result(Status.HEALTHY, measures=(Measure("queue", 3.0, ""), Measure("time", 0.5, "s"))))
    found = await scrape(client)
    assert found["healthd_check_value"] == {("db", "queue", ""): 3, ("db", "time", "s"): 0.5}
    site.clock.seconds += 100
    assert "healthd_check_value" not in await scrape(client)


async def test_labels_are_there_to_join(open_site: Open) -> None:
    """One series for each check that has some, with every label that any has, as kube-state-metrics does it."""
    process = {"kind": "process"}
    checks = {"a": process | {"labels": {"team": "shop"}}, "b": process | {"labels": {"tier": "gold"}}, "c": process}
    _, client = await open_site(checks=checks, groups={})
    response = await client.get("/metrics")
    lines = [line for line in (await response.text()).splitlines() if line.startswith("healthd_check_labels")]
    assert lines == [
        'healthd_check_labels{check="a",label_team="shop",label_tier=""} 1.0',
        'healthd_check_labels{check="b",label_team="",label_tier="gold"} 1.0',
    ]


async def test_each_check_has_exactly_one_status(open_site: Open) -> None:
    """The state set sums to one."""
    site, client = await open_site()
    site.put("db", DOWN)
    status = (await scrape(client))["healthd_check_status"]
    assert {name: sum(v for (n, _), v in status.items() if n == name) for name in ("db", "mail", "backup")} == {
        "db": 1,
        "mail": 1,
        "backup": 1,
    }


async def test_overdue_is_unknown_at_the_scrape(open_site: Open) -> None:
    """Not when somebody notices: at that very moment. The time of the last probe stays, its latency does not."""
    site, client = await open_site()
    site.put("db", Result.healthy(latency=0.25))
    site.clock.seconds += 32
    found = await scrape(client)
    assert found["healthd_check_status"]["db", "unknown"] == 1
    assert found["healthd_group_ready"]["ready",] == 0
    assert found["healthd_check_last_probe_timestamp_seconds"]["db",] == MIDNIGHT.timestamp() + 1000
    assert ("db",) not in found.get("healthd_check_latency_seconds", {})


async def test_counters(open_site: Open) -> None:
    """Probes, failures by kind, and transitions."""
    site, client = await open_site()
    config = site.board.check("db").config
    refused = Probe(MIDNIGHT, 0.3, Result.unhealthy(FailureKind.AUTH, "no"))
    site.metrics.probed("db", config, refused)
    site.metrics.probed("db", config, Probe(MIDNIGHT, 0.2, UP))
    site.metrics.changed(Transition("db", Status.HEALTHY, Status.UNHEALTHY, MIDNIGHT, refused), config)
    found = await scrape(client)
    assert found["healthd_probe_failures_total"]["db", "auth"] == 1
    assert found["healthd_probe_duration_seconds_count"]["db",] == 2
    assert found["healthd_check_transitions_total"]["db", "unhealthy"] == 1


async def test_a_check_that_is_gone_leaves_nothing(open_site: Open) -> None:
    """None of its series stays, and all of the others do."""
    site, client = await open_site()
    for name in ("db", "mail"):
        config = site.board.check(name).config
        refused = Probe(MIDNIGHT, 0.3, Result.unhealthy(FailureKind.AUTH, "no"))
        site.metrics.probed(name, config, refused)
        site.metrics.changed(Transition(name, Status.HEALTHY, Status.UNHEALTHY, MIDNIGHT, refused), config)
        site.metrics.skipped.labels(name, "missed").inc()
    await site.suite.arrange(site.read({"checks": {"mail": {"kind": "process"}}, "groups": {}}))
    site.metrics.forget_check("db")
    found = await scrape(client)
    assert not [(name, labels) for name, samples in found.items() for labels in samples if "db" in labels]
    for name in ("probe_failures_total", "probe_duration_seconds_count", "check_transitions_total"):
        assert any("mail" in labels for labels in found[f"healthd_{name}"])


async def test_a_reload_tells_the_new_version(open_site: Open) -> None:
    """And the old one no more."""
    site, client = await open_site()
    site.metrics.identify("2.0.0", "test")
    assert (await scrape(client))["healthd_build_info"] == {("test", "2.0.0"): 1}


async def test_what_runs_out_can_be_foreseen(open_site: Open) -> None:
    """Shares in use and the end of a certificate are gauges of their own, and go when the result is too old."""
    site, client = await open_site()
    ends = {"certificateExpires": "1970-01-02T00:00:00+00:00", "certificateLifetimeDays": 90}
    seen: dict[str, Any] = {"usage": 81.5, "inodeUsage": 3.0, **ends}
    site.put("db", Result.healthy(observed=seen))
    found = await scrape(client)
    kind = site.board.check("db").config.kind
    assert found["healthd_check_usage_ratio"] == {("db", kind): 0.815, ("db", "inodes"): 0.03}
    assert found["healthd_certificate_expiry_timestamp_seconds"] == {("db",): 86400}
    assert found["healthd_certificate_lifetime_seconds"] == {("db",): 90 * 86400}
    site.clock.seconds += 3600
    assert "healthd_check_usage_ratio" not in await scrape(client)
