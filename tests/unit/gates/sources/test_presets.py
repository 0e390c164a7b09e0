"""`preset:` against a page of each exporter. tests/unit/gates/sources/presets/README.md says where each is from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from prometheus_client.samples import Sample
from pydantic import TypeAdapter, ValidationError

from healthd_gates.sources import AnySource
from healthd_gates.sources.contract import Arm
from healthd_gates.sources.counters import Family
from healthd_gates.sources.exposition import PLAIN, families_of, read_page
from healthd_gates.sources.inspection import all_errors
from healthd_gates.sources.presets import PRESETS, PresetName, other_preset
from healthd_gates.sources.prometheus import PrometheusConfig
from healthd_gates.sources.scrape import ScrapeConfig
from healthd_gates.sources.scrape_inspection import inspect
from healthd_gates.sources.selectors import Selector

PAGES = Path(__file__).parent / "presets"
CANDIDATE = Arm("2", target="shop-v2")
REQUESTS: Mapping[str, tuple[int, int]] = dict.fromkeys(("django", "fastapi", "micrometer", "prom_client"), (11, 3))
"""The requests and errors of each page, where they are not 10 and 3."""
TIMED: Mapping[str, int] = {"contour": 9, "envoy": 9}
"""The requests of each page that have a latency, where not all have: Envoy times answers of a server alone."""
_any: TypeAdapter[Any] = TypeAdapter(AnySource)
PROXIES = sorted(name for name, preset in PRESETS.items() if preset.page is None)


def prometheus(preset: str, **more: Any) -> PrometheusConfig:
    found = _any.validate_python({"kind": "prometheus", "url": "http://p:9090", "preset": preset, **more})
    assert isinstance(found, PrometheusConfig)
    return found


def scrape(preset: str, **more: Any) -> ScrapeConfig:
    found = _any.validate_python({"kind": "scrape", "preset": preset, **more})
    assert isinstance(found, ScrapeConfig)
    return found


def page(preset: str) -> str:
    return (PAGES / f"{preset}.txt").read_text()


def scraped(preset: str) -> list[Sample]:
    """The page's samples as Prometheus stores them, with the target's labels."""
    labels = {"job": "shop", "instance": "10.0.0.1:80", "version": "2", "service_version": "2"}
    samples = [sample for family in families_of(page(preset), PLAIN) for sample in family.samples]
    return [sample._replace(labels={**labels, **sample.labels}) for sample in samples]


def total(selector: Selector, samples: list[Sample]) -> float:
    """The parser adds `_total` to counters that are exposed without it; Prometheus does not."""
    names = (selector.name, f"{selector.name}_total")
    return sum(each.value for each in samples if each.name in names and selector.matches(selector.name, each.labels))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_page_counts_what_was_asked_of_its_exporter(preset: str) -> None:
    """Requests, errors and latencies of the candidate, and of nobody else."""
    config, samples = prometheus(preset), scraped(preset)
    selectors = config.selectors("candidate", CANDIDATE)
    requests, errors = REQUESTS.get(preset, (10, 3))
    assert (total(selectors[Family.REQUESTS], samples), total(selectors[Family.ERRORS], samples)) == (requests, errors)
    if (buckets := selectors.get(Family.BUCKET)) is None:
        assert preset == "haproxy"
        return
    matched = [sample for sample in samples if buckets.matches(sample.name, sample.labels)]
    assert sum(sample.value for sample in matched if sample.labels["le"] == "+Inf") == TIMED.get(preset, requests)
    edges = [float(sample.labels["le"]) / config.latency_per_second for sample in matched]
    assert any(0.1 <= edge <= 0.3 for edge in edges), "in seconds"
    assert total(selectors[Family.SUM], samples) / config.latency_per_second <= 3


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - set(PROXIES)))
def test_a_targets_own_page_needs_no_version_on_it(preset: str) -> None:
    """Its address tells whose it is."""
    config = scrape(preset)
    found = read_page(page(preset), PLAIN, 100.0, config.selectors("candidate", CANDIDATE)).snapshot.values
    counted = {family: sum(value for counter, value in found.items() if counter.family is family) for family in Family}
    assert (counted[Family.REQUESTS], counted[Family.ERRORS]) == REQUESTS.get(preset, (10, 3))
    assert config.page("http://10.0.0.1:3000/") == {
        "istio": "http://10.0.0.1:15020/stats/prometheus",
        "linkerd": "http://10.0.0.1:4191/metrics",
        "micrometer": "http://10.0.0.1:3000/actuator/prometheus",
    }.get(preset, "http://10.0.0.1:3000/metrics")


@pytest.mark.parametrize("preset", PROXIES)
def test_a_proxys_page_is_no_targets(preset: str) -> None:
    """Its counters would be asked for at the addresses of the service."""
    with pytest.raises(ValidationError, match=f"{preset} is a proxy's page.*one of django"):
        scrape(preset)


def test_further_conditions_hold_for_all_and_replace_those_on_the_same_label() -> None:
    """A waypoint reports instead of the sidecar, and a canary's weight is told by another label."""
    mesh = prometheus("istio", matchers='reporter="waypoint",destination_service_namespace="prod"')
    assert str(mesh.errors) == (
        'istio_requests_total{destination_version="$version",reporter="waypoint",'
        'destination_service_namespace="prod",response_code=~"5.."}'
    )
    canary = prometheus("nginx_ingress", matchers='canary=~".+-$target-[0-9]+"')
    assert str(canary.requests) == 'nginx_ingress_controller_requests{canary=~".+-$target-[0-9]+"}'
    assert canary.requests.fill("candidate", CANDIDATE).matchers[0].matches({"canary": "prod-shop-v2-80"})


def test_conditions_on_the_exporters_own_labels_do_not_hold_for_the_process() -> None:
    """`up` has no handler."""
    config = prometheus("fastapi", matchers='namespace="prod",handler!="/metrics"')
    assert str(config.up) == 'up{version="$version",namespace="prod"}'
    assert str(config.started) == 'process_start_time_seconds{version="$version",namespace="prod"}'
    assert 'handler!="/metrics"' in str(config.requests)
    assert prometheus("kong", matchers='namespace="prod"').up is None


def test_what_is_written_beside_a_preset_is_kept() -> None:
    """One selector of one's own does not need the others to be written out."""
    config = prometheus("envoy", errors='envoy_cluster_upstream_rq{envoy_response_code="500"}')
    assert config.errors.name == "envoy_cluster_upstream_rq"
    assert config.requests.name == "envoy_cluster_upstream_rq_xx"
    assert config.latency_per_second == 1000
    assert scrape("prom_client", path="/internal/metrics").path == "/internal/metrics"
    again = _any.validate_python(config.model_dump(mode="json", exclude_unset=True))
    assert (again.requests, again.errors, again.latency_unit) == (config.requests, config.errors, "ms")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"preset": "istoi"}, "no preset is called 'istoi'. Did you mean istio?"),
        ({"preset": "istio", "matchers": "namespace=prod"}, "matchers: 'namespace=prod' is not a label matcher"),
        ({"preset": "istio", "matchers": '"istio_requests_total"'}, "matchers: .* is the name of a metric"),
        ({"preset": "istio", "matchers": 'a=~"("'}, "matchers: '\\('"),
        ({"requests": "r_total", "errors": "e_total", "matchers": 'a="b"'}, "without one write them into"),
        ({"preset": "istio", "latency_unit": "m"}, "latency_unit"),
        ({}, "requests"),
    ],
)
def test_what_is_wrong_is_refused_and_named(more: dict[str, Any], message: str) -> None:
    """The message has the cure."""
    with pytest.raises(ValidationError, match=message):
        _any.validate_python({"kind": "prometheus", "url": "http://p:9090", **more})


@pytest.mark.proof
def test_an_editor_asks_for_a_preset_or_for_the_selectors(file_schema: Draft202012Validator) -> None:
    """One of them is enough, and neither is too little."""

    def validate(source: dict[str, Any]) -> None:
        file_schema.validate({"services": {"api": {"source": source}}})

    validate({"kind": "scrape", "preset": "django"})
    validate({"kind": "prometheus", "url": "http://p:9090", "preset": "istio", "matchers": 'namespace="a"'})
    with pytest.raises(jsonschema.ValidationError):
        validate({"kind": "prometheus", "url": "http://p:9090"})


@pytest.mark.parametrize(
    ("preset", "names", "says"),
    [
        (
            "istio",
            ["envoy_cluster_upstream_rq_xx"],
            ("preset istio: the pods need", "look like preset: contour or envoy"),
        ),
        ("kong", ["kong_bandwidth_bytes"], ("preset kong: Kong's prometheus plugin needs status_code_metrics",)),
        ("micrometer", ["http_server_requests_seconds_count"], ("percentiles-histogram",)),
        ("haproxy", ["haproxy_backend_http_responses"], ()),
        ("prom_client", ["http_request_duration_seconds_bucket", "http_request_duration_seconds_count"], ()),
        ("prom_client", [], ()),
    ],
)
def test_what_is_missing_is_named_with_what_must_be_switched_on(
    preset: PresetName, names: list[str], says: tuple[str, ...]
) -> None:
    """A page without the metrics of the preset says so, and whose they are."""
    found = other_preset(preset, scrape_like(preset), names)
    assert all(part in text for part, text in zip(says, found, strict=True))


def scrape_like(preset: PresetName) -> Mapping[Any, Selector]:
    options = PRESETS[preset].selectors("", by_target=True)
    return {name: Selector.parse(text) for name, text in options.items()}


async def test_the_inspection_of_a_page_guesses_the_preset() -> None:
    """Selectors that were copied from elsewhere meet a page that a preset knows."""
    config = _any.validate_python({"kind": "scrape", "requests": "requests_total", "errors": "errors_total"})

    async def get(_address: str, _accept: str) -> tuple[str, str]:
        return page("django"), PLAIN

    selectors = {"candidate": config.selectors("candidate", CANDIDATE)}
    found = await inspect({"candidate": ["http://a/metrics"]}, selectors, config.written, get, ())
    assert "the metrics look like preset: django" in found.doubtful


async def test_a_fresh_page_without_a_request_is_no_missing_metric() -> None:
    """A histogram with labels has no series before the first request; its declaration says that it is there."""
    config = scrape("prom_client")

    async def get(_address: str, _accept: str) -> tuple[str, str]:
        return "# TYPE http_request_duration_seconds histogram\n# TYPE up gauge\nup 1\n", PLAIN

    selectors = {"candidate": config.selectors("candidate", CANDIDATE)}
    found = await inspect({"candidate": ["http://a/metrics"]}, selectors, config.written, get, (), "prom_client")
    assert (found.refused, found.doubtful) == ((), ())
    assert found.unseen == (
        "candidate: http_request_duration_seconds_count is declared and has no series yet: no request was counted",
    )


async def test_samples_apart_from_their_declaration_are_there() -> None:
    """As a page writes them that does not keep those of a metric together."""
    config = scrape("prom_client")
    page = """# TYPE up gauge
# TYPE http_request_duration_seconds histogram
up 1
http_request_duration_seconds_bucket{status_code="200",le="+Inf"} 5
http_request_duration_seconds_count{status_code="200"} 5
"""

    async def get(_address: str, _accept: str) -> tuple[str, str]:
        return page, PLAIN

    selectors = {"candidate": config.selectors("candidate", CANDIDATE)}
    found = await inspect({"candidate": ["http://a/metrics"]}, selectors, config.written, get, (), "prom_client")
    assert found.arms["candidate"].series["requests"] == 1
    assert found.unseen == ()


def test_the_process_own_metrics_are_not_the_presets() -> None:
    """Where only these are missing, the exporter counts requests all the same."""
    selectors = {
        key: Selector.parse(text) for key, text in PRESETS["prom_client"].selectors("", by_target=False).items()
    }
    names = ["http_request_duration_seconds_bucket", "http_request_duration_seconds_count"]
    assert "started" in selectors
    assert other_preset("prom_client", selectors, names) == ()


def test_a_status_that_no_series_has_is_no_error_of_every_request() -> None:
    """The errors of OpenTelemetry are those without a status too: where no request has one, nobody knows."""
    config = scrape("opentelemetry")
    without = [{"http_request_method": "GET"}]
    assert "every request would count as an error" in (all_errors(config.requests, config.errors, without) or "")
    assert all_errors(config.requests, config.errors, [*without, {"http_response_status_code": "200"}]) is None
    assert all_errors(config.requests, config.errors, []) is None
