"""The services of telemetry that are doubled, each with its words for the same questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates.sources import build_source, find_kind
from healthd_gates.sources.contract import Arm, Arms, Series, SourceContext
from healthd_gates.sources.windows import WindowsConfig
from tests.fakes.sources import Desk, HandClock
from tests.servers.peers import Peer
from tests.servers.telemetry import datadog, elasticsearch, graphite, influxdb, loki, newrelic
from tests.servers.telemetry.store import Store

START = datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)
MINUTE = 60.0


@dataclass(frozen=True)
class Vendor:
    """One service: its double, its credentials, and its queries. `events` are of a criterion, `up` of every version."""

    kind: str
    double: Callable[[Peer, Store], Any]
    options: dict[str, Any]
    requests: str
    errors: str
    latency: str
    up: str
    value: str | None
    wrong_key: dict[str, Any]
    not_counts: str
    fields: dict[str, str | float] = field(default_factory=dict)

    def config(self, peer: Peer, **more: Any) -> WindowsConfig:
        model = find_kind(self.kind).config_model
        path = "/graphql" if self.kind == "newrelic" else ""
        given = {"requests": self.requests, "errors": self.errors, "kind": self.kind, "url": f"{peer.url}{path}"}
        raw = {"delay": "30s", **given, **self.options, **more}
        config = model.model_validate({name: value for name, value in raw.items() if value is not None})
        assert isinstance(config, WindowsConfig)
        return config

    def add(self, store: Store, minute: float, count: int, version: str = "2", late: float = 0.0, **more: Any) -> None:
        """Add requests in a minute after the gate's first whole one."""
        fields = {"service": "shop", "version": version, "status": 200.0, "took": 0.1, "value": 1.0, **self.fields}
        if self.kind == "datadog" and more.get("status", 200.0) >= 500:
            store.add(FIRST + minute * MINUTE + 7, count, late, **{**fields, **more, "metric": "shop.errors"})
        store.add(FIRST + minute * MINUTE + 7, count, late, **{**fields, **more})


FIRST = datetime(2026, 3, 1, 12, 1, tzinfo=UTC).timestamp()

VENDORS = [
    Vendor(
        "datadog",
        datadog.Datadog,
        {"api_key": datadog.API_KEY, "application_key": datadog.APPLICATION_KEY},
        "sum:shop.requests{service:shop,version:$version}.as_count()",
        "sum:shop.errors{service:shop,version:$version}.as_count()",
        "count(v: v<=$le):shop.requests{service:shop,version:$version}.as_count()",
        "sum:shop.requests{service:shop}.as_count()",
        "avg:shop.requests{version:$version}",
        {"application_key": "wrong-wrong"},
        "sum:shop.requests{version:$version}.as_rate()",
        {"metric": "shop.requests"},
    ),
    Vendor(
        "newrelic",
        newrelic.NewRelic,
        {"account": newrelic.ACCOUNT, "key": newrelic.KEY},
        "SELECT count(*) FROM Transaction WHERE service = 'shop' AND version = '$version'",
        "SELECT count(*) FROM Transaction WHERE service = 'shop' AND version = '$version' AND status >= 500",
        "SELECT filter(count(*), WHERE took <= $le) FROM Transaction WHERE version = '$version'",
        "SELECT count(*) FROM Transaction WHERE service = 'shop'",
        "SELECT average(value) FROM Transaction WHERE version = '$version'",
        {"key": "NRAK-wrong-wrong"},
        "SELECT rate(count(*), 1 minute) FROM Transaction",
    ),
    Vendor(
        "loki",
        loki.Loki,
        {"tenant": loki.TENANT},
        '{service="shop",version="$version"}',
        '{service="shop",version="$version"} | json | status >= 500',
        '{service="shop",version="$version"} | json | took <= $le',
        '{service="shop"}',
        'avg(avg_over_time({version="$version"} | unwrap value [$window]))',
        {"tenant": "other"},
        'rate({service="shop"}[1m])',
    ),
    Vendor(
        "elasticsearch",
        elasticsearch.Elasticsearch,
        {"index": elasticsearch.INDEX, "api_key": elasticsearch.KEY},
        "service:shop AND version:$version",
        "service:shop AND version:$version AND status:>=500",
        "service:shop AND version:$version AND took:<=$le",
        "service:shop",
        None,
        {"api_key": "wrong-wrong"},
        "{}",
    ),
    Vendor(
        "influxdb",
        influxdb.InfluxDB,
        {"database": influxdb.DATABASE, "token": influxdb.TOKEN},
        """SELECT count("took") FROM "requests" WHERE "version" = '$version'""",
        """SELECT count("took") FROM "requests" WHERE "version" = '$version' AND "status" >= 500""",
        """SELECT count("took") FROM "requests" WHERE "version" = '$version' AND "took" <= $le""",
        'SELECT count("took") FROM "requests"',
        """SELECT mean("value") FROM "requests" WHERE "version" = '$version'""",
        {"token": "wrong-wrong"},
        """SELECT mean("took") FROM "requests" WHERE "version" = '$version'""",
    ),
    Vendor(
        "graphite",
        graphite.Graphite,
        {"basic": graphite.LOGIN},
        "sumSeries(stats.shop.$version.requests.count)",
        "sumSeries(stats.shop.$version.errors.count)",
        "sumSeries(stats.shop.$version.le_$le.count)",
        "sumSeries(stats.shop.*.requests.count)",
        "averageSeries(stats.gauges.shop.$version.value)",
        {"basic": {"username": "healthd", "password": "wrong-wrong"}},
        "sumSeries(stats.shop.$version.requests.rate)",
    ),
]


def desk(
    config: WindowsConfig, *series: Series, baseline: bool = False, edges: tuple[float, ...] = (), version: str = "2"
) -> Desk:
    """A gate that begins at START, which is in the middle of a minute."""
    arms = Arms("shop", Arm(version), Arm("1") if baseline else None)
    config.check(arms)
    for each in series:
        config.check_series(each)
        config.check_series_of(each, arms)
    clock = HandClock(START)
    context = SourceContext(clock, Redactor(secrets_of(config)), edges=edges, series=series)
    return Desk(build_source(config, arms, context), clock)
