"""Receiver of the daemon's metrics and of the spans of its gates: OTLP over HTTP."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from yarl import URL

from healthd.checks.http_address import HeaderName, HeaderValue
from healthd.checks.proxy_option import ProxyOption
from healthd.config.model import Model
from healthd.extras import how_to_get
from healthd.units import Duration, HttpAddress

Signal = Literal["metrics", "traces"]
MESSAGES = {
    "metrics": "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2",
    "traces": "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
}


class Otlp(Model):
    endpoint: HttpAddress
    """Base address of the receiver, such as `http://collector:4318`; `/v1/metrics` and `/v1/traces` follow it."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers of each request, such as `Authorization`."""
    signals: tuple[Signal, ...] = Field(("metrics", "traces"), min_length=1)
    """Signals that are sent: `metrics`, and `traces`, which have a span for each gate."""
    interval: Duration = Field(60.0, ge=1)
    """Time between two exports of metrics."""
    timeout: Duration = Field(10.0, le=60)
    """Timeout of one request."""
    compression: Literal["gzip", "none"] = "gzip"
    """Compression of the requests."""
    ca_file: Path | None = None
    """Authorities to trust, as PEM; those of the system by default."""
    proxy: ProxyOption | None = None
    """Proxy to go through instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""
    resource: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], str] = Field({}, max_length=50)
    """Resource attributes beside, or instead of, healthd's own: `service.name`, `service.version`,
    `service.instance.id`, `host.name`, `deployment.environment.name`."""

    @field_validator("endpoint")
    @classmethod
    def _is_base(cls, endpoint: str) -> str:
        address = URL(endpoint)
        if address.raw_user is not None or address.raw_password is not None:
            raise ValueError("holds a user or a password: write them as headers: {Authorization: …}")
        if address.raw_query_string or address.raw_fragment:
            raise ValueError("ends with a ? or a #: /v1/metrics and /v1/traces must follow it")
        if ends := re.search(r"(/v1/(?:metrics|traces|logs))+/*$", address.raw_path):
            raise ValueError(f"ends with {ends[1]}, which follows it by itself: leave that out")
        return endpoint

    @model_validator(mode="after")
    def _has_messages(self) -> Self:
        try:
            for module in MESSAGES.values():  # here, in the thread that reads the file
                import_module(module)
        except ImportError:
            raise ValueError(f"needs the messages of OpenTelemetry: {how_to_get('otlp')}") from None
        return self

    def address(self, signal: Signal) -> str:
        return f"{self.endpoint.rstrip('/')}/v1/{signal}"
