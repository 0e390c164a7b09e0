"""What a service's pages and a Prometheus tell `healthd init`."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from healthd_gates.commands.init.pages import MetricsFound, health_path, metrics_page, prometheus

BASE = "http://127.0.0.1:3000"
PROM_CLIENT = (
    "# TYPE http_request_duration_seconds histogram\n"
    'http_request_duration_seconds_bucket{le="+Inf",status_code="200"} 3\n'
    'http_request_duration_seconds_sum{status_code="200"} 1\n'
    'http_request_duration_seconds_count{status_code="200"} 3\n'
)
OTHER = '# TYPE http_requests_total counter\nhttp_requests_total{code="200"} 3\n'


class Web:
    """Pages by their address; all others are not found."""

    def __init__(self, pages: Mapping[str, str]) -> None:
        self.pages = pages

    async def get(self, url: str) -> tuple[int, str] | None:
        if not self.pages:
            return None
        return (200, self.pages[url]) if url in self.pages else (404, "")


@pytest.mark.parametrize(
    ("pages", "path"),
    [
        ({f"{BASE}/healthz": ""}, "/healthz"),
        ({f"{BASE}/": "", f"{BASE}/health": ""}, "/health"),
        ({}, None),
        ({"x": ""}, None),
    ],
)
def test_health_path(pages: dict[str, str], path: str | None) -> None:
    """The first usual path that answers 200."""
    assert asyncio.run(health_path(BASE, Web(pages).get)) == path


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ({f"{BASE}/metrics": PROM_CLIENT}, MetricsFound("prom_client", True)),
        ({f"{BASE}/metrics": OTHER}, "has no counter of requests that a preset knows"),
        ({f"{BASE}/metrics": "<html>"}, "no metrics page answers"),
        ({"x": ""}, "no metrics page answers"),
    ],
)
def test_metrics_page(pages: dict[str, str], found: MetricsFound | str) -> None:
    """A preset fits if its counters are there with the label that tells errors."""
    answer = asyncio.run(metrics_page(BASE, Web(pages).get))
    assert answer == found if isinstance(found, MetricsFound) else isinstance(answer, str) and found in answer


@pytest.mark.parametrize(
    ("language", "selectors"),
    [
        ("python_info", None),
        ("process_start_time_seconds", None),
        (
            "nodejs_version_info",
            {"requests": "http_requests_total", "errors": 'http_requests_total{status=~"5.."}'},
        ),
    ],
)
def test_counters_of_another_language_are_no_preset(language: str, selectors: Mapping[str, str] | None) -> None:
    """A counter of one's own in Node has the name of FastAPI's: its source told to add a Python package."""
    count = '# TYPE http_requests_total counter\nhttp_requests_total{status="200"} 3\n'
    page = f"{count}# TYPE {language} gauge\n{language} 1\n"
    found = asyncio.run(metrics_page(BASE, Web({f"{BASE}/metrics": page}).get))
    assert found == MetricsFound("fastapi", False, selectors=selectors)


def server(labels: Mapping[str, str], names: list[str], *more: Mapping[str, str]) -> dict[str, str]:
    """A Prometheus with a few series: both answers as its HTTP API documents them."""
    series = {"status": "success", "data": [labels, *more]}
    there = {f"{BASE}/api/v1/series?match[]={name}": json.dumps(series) for name in names}
    return {f"{BASE}/api/v1/label/__name__/values": json.dumps({"status": "success", "data": names}), **there}


COUNT = "http_request_duration_seconds_count"


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        (server({"status_code": "200", "version": "1"}, [COUNT]), MetricsFound("prom_client", False, version="1")),
        (server({"status_code": "200"}, [COUNT]), "have no label version"),
        (
            server({"status_code": "200", "version": "1", "job": "a"}, [COUNT]),
            MetricsFound("prom_client", False, "a", "1"),
        ),
        (server({"code": "200", "service": "a"}, ["kong_http_requests_total"]), "look like preset kong"),
        (server({}, ["up"]), "no counter of requests that a preset knows"),
        ({f"{BASE}/api/v1/label/__name__/values": "<html>"}, None),
        ({f"{BASE}/api/v1/label/__name__/values": '{"data": 1}'}, None),
        ({}, None),
    ],
)
def test_prometheus(pages: dict[str, str], found: MetricsFound | str | None) -> None:
    """Its series need the label that tells the versions apart; what is no Prometheus is none."""
    answer = asyncio.run(prometheus(BASE, Web(pages).get, {"127.0.0.1:3000"}))
    assert found in answer if isinstance(found, str) and isinstance(answer, str) else answer == found


@pytest.mark.parametrize(
    ("instance", "found"),
    [
        ("127.0.0.1:3000", MetricsFound("prom_client", False, "b", "1.10.0")),
        ("10.0.0.1:3000", "of several jobs (a, b)"),
    ],
)
def test_another_services_series_are_not_taken(instance: str, found: MetricsFound | str) -> None:
    """Of several jobs it is the one that scrapes a target, with its newest version; none, if that cannot be told."""
    one = {"status_code": "200", "version": "1"}
    own = [{**one, "version": version, "job": "b", "instance": instance} for version in ("1.9.0", "1.10.0")]
    pages = server({**one, "version": "2", "job": "a", "instance": "x:1"}, [COUNT], *own)
    answer = asyncio.run(prometheus(BASE, Web(pages).get, {"127.0.0.1:3000"}))
    assert answer == found or (isinstance(found, str) and found in str(answer))
