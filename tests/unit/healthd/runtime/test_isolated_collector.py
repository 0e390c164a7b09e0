"""A bug in one collector leaves the scrape the metrics of the others."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from healthd.runtime.isolated_collector import IsolatedCollector


class Broken(Collector):
    broken = True

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("half", "Half of it.", 1.0)
        if Broken.broken:
            raise ZeroDivisionError


def test_what_is_whole_is_scraped_and_the_bug_is_logged_once() -> None:
    """Once for each time that it begins."""
    registry = CollectorRegistry(auto_describe=True)
    Gauge("up", "Whether it is up.", registry=registry).set(1)
    with capture_logs() as logged:
        registry.register(IsolatedCollector(Broken()))
        for broken in (True, True, False, True):
            Broken.broken = broken
            scraped = generate_latest(registry).decode()
            assert "up 1.0" in scraped
            assert ("half 1.0" in scraped) is not broken
    assert [entry["collector"] for entry in logged] == ["Broken", "Broken"]
