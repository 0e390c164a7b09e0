"""Selectors for exporters that many services have already: `preset: istio` instead of `requests`, `errors` and
`latency`. The facts behind each stand beside the recorded pages of tests/unit/gates/sources/presets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from healthd.nearest import did_you_mean
from healthd_gates.sources.selectors import Matcher, Selector, parse_matchers

PresetName = Literal[
    "contour",
    "django",
    "envoy",
    "fastapi",
    "haproxy",
    "istio",
    "kong",
    "linkerd",
    "micrometer",
    "nginx_ingress",
    "opentelemetry",
    "prom_client",
    "traefik",
]


@dataclass(frozen=True, slots=True)
class Preset:
    """Counting of requests by an exporter. `base` holds for all that it counts, `arm` tells the versions apart in
    Prometheus, and `failed` tells errors from the other `requests`.

    Where a page is that of the service's own process, `process_labels` are those that the exporter gives: conditions on
    any others hold for `up` and for the process's start time as well. `page` is where targets show the metrics
    themselves, None for a proxy's. `needs` says what must be switched on for the metrics to be there.
    """

    requests: str
    failed: str
    latency: str | None
    arm: str
    needs: str
    base: str = ""
    unit: str | None = None
    process_labels: frozenset[str] | None = None
    page: Mapping[str, Any] | None = None

    def selectors(self, matchers: str, *, by_target: bool) -> dict[str, str]:
        """Return the selectors as the options of a source. `matchers` are further conditions; one on a label of
        `base` or `arm` replaces it. With `by_target` each arm has pages of its own. Raises ValueError."""
        given = _conditions(matchers)
        told = by_target or any("$" in matcher.value for matcher in given)
        base = [*_conditions(self.base), *([] if told else _conditions(self.arm))]
        conditions = [*(each for each in base if each.label not in {own.label for own in given}), *given]
        failed = [*conditions, *_conditions(self.failed)]
        options = {"requests": _written(self.requests, conditions), "errors": _written(self.requests, failed)}
        if self.latency is not None:
            options["latency"] = _written(self.latency, conditions)
        if self.process_labels is not None and not by_target:
            target = [matcher for matcher in conditions if matcher.label not in self.process_labels]
            options["up"] = _written("up", target)
            options["started"] = _written("process_start_time_seconds", target)
        return options


def _conditions(text: str) -> list[Matcher]:
    try:
        names, matchers = parse_matchers(text)
    except ValueError as error:
        raise ValueError(f"matchers: {error}") from None
    if names:
        raise ValueError(f"matchers: {names[0]!r} is the name of a metric, which the preset has")
    return matchers


def _written(name: str, matchers: Collection[Matcher]) -> str:
    return str(Selector(name, tuple(matchers)))


_VERSION = 'version="$version"'
_METRICS = {"path": "/metrics"}

PRESETS: Mapping[PresetName, Preset] = {
    "contour": Preset(
        requests="envoy_cluster_upstream_rq_xx",
        failed='envoy_response_code_class="5"',
        latency="envoy_cluster_upstream_rq_time_bucket",
        unit="ms",
        arm='envoy_cluster_name=~".+_$target[_].+"',
        needs="Prometheus must scrape Envoy's /stats/prometheus; the target's name is that of its Kubernetes service",
    ),
    "django": Preset(
        requests="django_http_responses_total_by_status_total",
        failed='status=~"5.."',
        latency="django_http_requests_latency_including_middlewares_seconds_bucket",
        arm=_VERSION,
        process_labels=frozenset({"status"}),
        page=_METRICS,
        needs="django-prometheus needs both of its middlewares, the first and the last of MIDDLEWARE",
    ),
    "envoy": Preset(
        requests="envoy_cluster_upstream_rq_xx",
        failed='envoy_response_code_class="5"',
        latency="envoy_cluster_upstream_rq_time_bucket",
        unit="ms",
        arm='envoy_cluster_name="$target"',
        needs="Prometheus must scrape Envoy's /stats/prometheus; the target's name is that of its cluster",
    ),
    "fastapi": Preset(
        requests="http_requests_total",
        failed='status=~"5.."',
        latency="http_request_duration_highr_seconds_bucket",
        arm=_VERSION,
        process_labels=frozenset({"handler", "method", "status"}),
        page=_METRICS,
        needs="prometheus-fastapi-instrumentator must be told to instrument(app) and expose(app)",
    ),
    "haproxy": Preset(
        requests="haproxy_backend_http_responses_total",
        failed='code="5xx"',
        latency=None,
        arm='proxy="$target"',
        needs="HAProxy's own exporter (http-request use-service prometheus-exporter); the target's name is that of its"
        " backend. It has no histogram: for latency read HAProxy's log with access_log",
    ),
    "istio": Preset(
        requests="istio_requests_total",
        failed='response_code=~"5.."',
        latency="istio_request_duration_milliseconds_bucket",
        base='reporter="destination"',
        arm='destination_version="$version"',
        page={"path": "/stats/prometheus", "port": 15020},
        needs="the pods need Istio's sidecar and the label version; a waypoint reports as"
        " matchers: 'reporter=\"waypoint\"'",
    ),
    "kong": Preset(
        requests="kong_http_requests_total",
        failed='code=~"5.."',
        latency="kong_request_latency_ms_bucket",
        arm='service="$target"',
        needs="Kong's prometheus plugin needs status_code_metrics and latency_metrics, both false unless set; the"
        " target's name is that of Kong's service",
    ),
    "linkerd": Preset(
        requests="response_total",
        failed='classification="failure"',
        latency="response_latency_ms_bucket",
        base='direction="inbound",target_port!="4191"',
        arm=_VERSION,
        page={"path": "/metrics", "port": 4191},
        needs="the pods need Linkerd's proxy and the label version, which linkerd-viz's Prometheus takes over",
    ),
    "micrometer": Preset(
        requests="http_server_requests_seconds_count",
        failed='status=~"5.."',
        latency="http_server_requests_seconds_bucket",
        arm=_VERSION,
        process_labels=frozenset({"error", "exception", "method", "outcome", "status", "uri"}),
        page={"path": "/actuator/prometheus"},
        needs="Spring Boot has buckets with"
        " management.metrics.distribution.percentiles-histogram.http.server.requests=true",
    ),
    "nginx_ingress": Preset(
        requests="nginx_ingress_controller_requests",
        failed='status=~"5.."',
        latency="nginx_ingress_controller_request_duration_seconds_bucket",
        arm='service="$target"',
        needs="ingress-nginx needs controller.metrics.enabled; the target's name is that of its Kubernetes service",
    ),
    "opentelemetry": Preset(
        requests="http_server_request_duration_seconds_count",
        # A request that ended in an exception before any answer has no status.
        failed='http_response_status_code=~"5..|"',
        latency="http_server_request_duration_seconds_bucket",
        arm='service_version="$version"',
        page=_METRICS,
        needs="the instrumentation must follow the stable conventions (OTEL_SEMCONV_STABILITY_OPT_IN=http), and"
        " Prometheus must promote the resource attribute service.version to a label",
    ),
    "prom_client": Preset(
        requests="http_request_duration_seconds_count",
        failed='status_code=~"5.."',
        latency="http_request_duration_seconds_bucket",
        arm=_VERSION,
        process_labels=frozenset({"status_code", "method", "path", "route"}),
        page=_METRICS,
        needs="prom-client counts no requests by itself: express-prom-bundle or fastify-metrics does",
    ),
    "traefik": Preset(
        requests="traefik_service_requests_total",
        failed='code=~"5.."',
        latency="traefik_service_request_duration_seconds_bucket",
        arm='service=~"$target@.+"',
        needs="Traefik needs --metrics.prometheus, with addServicesLabels as it is by default; the target's name is"
        " that of Traefik's service, without its provider",
    ),
}
assert set(PRESETS) == set(get_args(PresetName))


def filled_in(raw: Any, *, by_target: bool = False) -> Any:
    """Return the options of a source with those of its preset; what is written beside it takes precedence. Raises
    ValueError."""
    if not isinstance(raw, Mapping) or not isinstance(preset := raw.get("preset"), str):
        return raw
    if (found := PRESETS.get(cast(PresetName, preset))) is None:
        raise ValueError(f"preset: no preset is called {preset!r}.{did_you_mean(preset, PRESETS)}")
    if by_target and found.page is None:
        there_are = ", ".join(name for name, each in PRESETS.items() if each.page is not None)
        raise ValueError(
            f"preset: {preset} is a proxy's page, which no target of the service has: use kind prometheus, or one of"
            f" {there_are}"
        )
    options: dict[str, Any] = dict(found.page or {}) if by_target else {}
    if found.unit is not None:
        options["latency_unit"] = found.unit
    matchers = raw.get("matchers", "")
    options |= found.selectors(matchers if isinstance(matchers, str) else "", by_target=by_target)
    return {**options, **raw}


_PROCESS = ("up", "started")
"""Selectors of which no preset depends: not every runtime has them."""


def other_preset(
    preset: PresetName | None, selectors: Mapping[Any, Selector], names: Collection[str]
) -> tuple[str, ...]:
    """Return what a preset needs of whose selectors some select no existing metric, and which presets the metrics'
    names look like; nothing where the names are not known, or only the process's own metrics are missing."""
    known = {name.removesuffix("_total") for name in names}
    counted = [selector for use, selector in selectors.items() if use not in _PROCESS]
    if not known or all(selector.name.removesuffix("_total") in known for selector in counted):
        return ()
    like = [name for name, each in PRESETS.items() if each.requests.removesuffix("_total") in known]
    if preset in like:
        like = []
    found = f"the metrics look like preset: {' or '.join(like)}" if like else None
    needed = f"preset {preset}: {PRESETS[preset].needs}" if preset is not None else None
    return tuple(text for text in (needed, found) if text is not None)


def without_required(schema: dict[str, Any]) -> None:
    """Change the JSON schema of a source: a preset stands for the selectors that are required without one."""
    required: list[str] = schema.get("required", [])
    schema["required"] = [name for name in required if name not in ("requests", "errors")]
    schema["anyOf"] = [{"required": ["preset"]}, {"required": ["requests", "errors"]}]
