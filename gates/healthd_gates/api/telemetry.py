"""The calls by which OpenTelemetry SDKs and collectors send metrics and spans: OTLP over HTTP, protobuf or JSON
(opentelemetry.io/docs/specs/otlp, section OTLP/HTTP).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from healthd.config.model import Model
from healthd.nearest import did_you_mean
from healthd.web.problems import Problem
from healthd_gates.api.operation import Answer, Call, Nothing, Operation
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.config.settings import Config
from healthd_gates.sources.otlp.config import SERVICE, OtlpConfig
from healthd_gates.sources.otlp.messages import Export, NotDecodable, Resource
from healthd_gates.sources.otlp.receiver import Receiver

_JSON, _PROTOBUF = "application/json", "application/x-protobuf"
_MIB = 1024**2
_LARGEST = 4 * _MIB  # after decompression
_AT_ONCE, _WAITING = 2, 16  # exports that are decoded, and that wait for it
_SHOWN = 3
_SCOPE = "telemetry:write"


class Sent(Model):
    """An export, which is decoded by its content type."""

    model_config = ConfigDict(extra="ignore")
    _raw: bytes = PrivateAttr(b"")

    @property
    def raw(self) -> bytes:
        return self._raw


class MetricsSent(Sent):
    """An `ExportMetricsServiceRequest`: in JSON as here, or in protobuf."""

    resource_metrics: list[dict[str, Any]] = Field([], alias="resourceMetrics")


class SpansSent(Sent):
    """An `ExportTraceServiceRequest`: in JSON as here, or in protobuf."""

    resource_spans: list[dict[str, Any]] = Field([], alias="resourceSpans")


class PartialSuccess(BaseModel):
    """Part that was not taken, and why; or a warning."""

    rejected_data_points: str | None = Field(None, alias="rejectedDataPoints")
    rejected_spans: str | None = Field(None, alias="rejectedSpans")
    error_message: str | None = Field(None, alias="errorMessage")


class Exported(BaseModel):
    """The answer to an export; empty if all of it was taken."""

    partial_success: PartialSuccess | None = Field(None, alias="partialSuccess")


class StatusDocument(BaseModel):
    """An error, as a `google.rpc.Status`."""

    message: str


_REFUSALS = {
    400: "It cannot be decoded.",
    401: "No token, or one that is not known.",
    403: "The token lacks the scope, or is bound to other services.",
    404: "No service here has a source of kind otlp.",
    408: "The body took too long to arrive.",
    413: f"It is larger than {_LARGEST // _MIB} MiB.",
    415: "It is neither protobuf nor JSON.",
    429: "Too many exports; `Retry-After` says when the next one is welcome.",
    503: "Too many at once, or a gate may be about to go on after a restart: send it again.",
}
_ANSWERS = {
    200: Answer("Taken.", Exported),
    **{status: Answer(text, StatusDocument) for status, text in _REFUSALS.items()},
}


class Telemetry:
    """The operations on `/v1/metrics` and `/v1/traces`."""

    def __init__(self, receiver: Receiver, config: Callable[[], Config], reach: ServicesInReach) -> None:
        self._receiver, self._config, self._reach = receiver, config, reach
        self._decoding, self._waiting = asyncio.Semaphore(_AT_ONCE), 0

    def operations(self) -> list[Operation]:
        make = partial(
            Operation, refuse=refused, parse=_whole, media_types=(_JSON, _PROTOBUF), largest_body=_LARGEST,
            services=lambda call: (), pool="telemetry",
        )  # fmt: skip
        return [
            make(
                "export_metrics", "POST", "/v1/metrics", _SCOPE,
                "Metrics of OpenTelemetry (OTLP over HTTP), in protobuf or JSON, perhaps gzipped.",
                self._metrics, _ANSWERS, body=MetricsSent,
            ),
            make(
                "export_traces", "POST", "/v1/traces", _SCOPE,
                "Spans of OpenTelemetry (OTLP over HTTP), in protobuf or JSON, perhaps gzipped.",
                self._spans, _ANSWERS, body=SpansSent,
            ),
        ]  # fmt: skip

    async def _metrics(self, call: Call[MetricsSent, Nothing]) -> web.Response:
        sources = self._sources()
        decode = await asyncio.to_thread(_loaded)
        as_json = call.request.content_type == _JSON
        body, wants = call.body.raw, self._receiver.wants
        export = await self._decoded(lambda: decode.decode_metrics(body, wants, as_json=as_json))
        rejected, message = self._take(call, export, sources)
        return _answer(decode.metrics_answer(rejected, message, as_json=as_json), as_json=as_json)

    async def _spans(self, call: Call[SpansSent, Nothing]) -> web.Response:
        sources = self._sources()
        decode = await asyncio.to_thread(_loaded)
        as_json = call.request.content_type == _JSON
        body = call.body.raw
        export = await self._decoded(lambda: decode.decode_spans(body, as_json=as_json))
        rejected, message = self._take(call, export, sources)
        return _answer(decode.spans_answer(rejected, message, as_json=as_json), as_json=as_json)

    def _sources(self) -> Mapping[str, list[OtlpConfig]]:
        """Return the sources that count by telemetry, by service. Raises Problem 404."""
        found: dict[str, list[OtlpConfig]] = {}
        for name, service in self._config().services.items():
            for source in (service.source, *service.sources.values()):
                if isinstance(source, OtlpConfig):
                    found.setdefault(name, []).append(source)
        if not found:
            raise Problem(404, "No telemetry here", "no service of healthd has a source of kind otlp")
        return found

    async def _decoded(self, decode: Callable[[], Export]) -> Export:
        """Decode in a thread, a few at once: an export of megabytes must not hold up the answers to probes."""
        if self._waiting >= _WAITING:
            raise Problem(503, "Too many exports", "others are being decoded: send it again", {"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._decoding:
                return await asyncio.to_thread(decode)
        except NotDecodable as error:
            raise Problem(400, "Not decodable", str(error)) from None
        finally:
            self._waiting -= 1

    def _take(
        self, call: Call[Any, Nothing], export: Export, sources: Mapping[str, list[OtlpConfig]]
    ) -> tuple[int, str]:
        """Hand on what is of services in reach. Return how much was rejected, and why, or a warning. Raises Problem 403
        if nothing is in reach, and 503, with nothing handed on, if a gate that it is for is about to go on."""
        rejected, problems, beyond = export.rejected, [*export.problems], set[str]()
        known = taken = False
        found = [
            {name for name, own in sources.items() if any(each.takes(name, resource.labels) for each in own)}
            for resource in export.resources
        ]
        in_reach = [{name for name in services if self._reach.reaches(call.caller, name)} for services in found]
        if self._receiver.awaits(set[str]().union(*in_reach)):
            raise Problem(503, "Just started", "a gate may be about to go on: send it again", {"Retry-After": "2"})
        for resource, services, reached in zip(export.resources, found, in_reach, strict=True):
            if not services:
                self._receiver.note_stranger(resource.labels.get(SERVICE, "")[:64])
            known, taken = known or bool(services), taken or bool(reached)
            if services and not reached:
                beyond |= services
                rejected += len(resource.points) + len(resource.spans)
                continue
            if lost := self._receiver.take(reached, resource):
                rejected += lost
                problems.append("there are more streams than a gate counts by: fewer attributes are needed")
        if beyond and not taken:
            raise call.caller.beyond_reach(f"the telemetry of {', '.join(sorted(beyond))}")
        if beyond:
            problems.append(f"the token is not for {', '.join(sorted(beyond))}")
        if export.resources and not known:
            problems.append(_nobodys(export.resources, sources))
        return rejected, "; ".join(dict.fromkeys(problems))


def _loaded() -> ModuleType:
    """Return what decodes, with the messages of OpenTelemetry, which only the extra has. The first call loads them,
    which takes a while."""
    from healthd_gates.sources.otlp import decode

    return decode


def _nobodys(resources: Sequence[Resource], sources: Mapping[str, list[OtlpConfig]]) -> str:
    """Return a warning about an export of which nothing is of a service here."""
    found = list(dict.fromkeys(each.labels.get(SERVICE, "")[:64] for each in resources))
    wanted = [own.identity.get(SERVICE, name) for name, each in sources.items() for own in each]
    shown = ", ".join(name or "none" for name in found[:_SHOWN])
    return f"nothing here counts by {SERVICE} {shown}.{did_you_mean(found[0], wanted)}"


def refused(problem: Problem, request: web.Request) -> web.Response:
    """Return an error as the protocol has it: a Status in the encoding of the request."""
    text = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
    as_json = request.content_type != _PROTOBUF
    body = json.dumps({"message": text}).encode() if as_json else _status(text.encode())
    return _answer(body, problem.status, problem.headers, as_json=as_json)


def _status(text: bytes) -> bytes:
    """Return a google.rpc.Status in protobuf with a `message`, its field 2."""
    size, length = len(text), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x12" + bytes([*length, size]) + text


def _answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, as_json: bool) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        content_type=_JSON if as_json else _PROTOBUF,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _whole(raw: bytes, model: type[Sent]) -> Sent:
    """Return a body as it came: it is decoded by its content type."""
    sent = model.model_construct()
    sent._raw = raw
    return sent
