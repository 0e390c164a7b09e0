"""Collector of metrics that costs a scrape no more than its own ones, whatever bug it has."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from prometheus_client import Metric
from prometheus_client.registry import Collector

_log = structlog.get_logger(__name__)


class IsolatedCollector(Collector):
    """Collects what another collector does. An error of it is logged, once until it collects again."""

    def __init__(self, collector: Collector) -> None:
        self._collector, self._fails = collector, False

    def collect(self) -> Iterator[Metric]:
        try:
            found = [*self._collector.collect()]
        except Exception:
            if not self._fails:
                _log.exception("metrics not collected, internal error", collector=type(self._collector).__name__)
            self._fails = True
            return
        self._fails = False
        yield from found
