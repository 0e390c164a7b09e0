"""The requests that a caller may make of a gate. Requests name things that the configuration defines; they never carry
an address, a command or a path that the daemon would follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

from healthd.config.model import Model, Name, one_line
from healthd.labels import LabelName as LabelName
from healthd.units import Span, Time
from healthd.wording import shape
from healthd_gates.domain.evidence import Counts, Histogram

_TEXT = 200
_MOST_ADDRESSES = 100  # of a target, and targets


# No dot or slash follows another: a version that ends up in a path cannot climb out of it.
VersionName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[A-Za-z0-9](?:[./]?[A-Za-z0-9_+:@~-])*$",
            "one word of letters, digits and . / _ + : @ ~ - such as 1.4.2, without spaces",
        ),
        max_length=128,
    ),
]
LabelValue = Annotated[str, StringConstraints(max_length=_TEXT), AfterValidator(one_line)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=_TEXT), AfterValidator(one_line)]
TraceParent = Annotated[
    str,
    StringConstraints(
        pattern=shape(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", "such as 00-TRACE-SPAN-01 of W3C"),
    ),
]
IdempotencyKey = Annotated[
    str, StringConstraints(pattern=shape(r"^[\x21-\x7e]{1,200}$", "1 to 200 visible ASCII characters, without spaces"))
]


class Version(Model):
    """One of the two arms: the version's name, the labels that select its numbers, and the service's configured target
    on which it runs (needed if there are several).
    """

    version: VersionName
    """Name of the version."""
    target: Name | None = None
    """The service's target on which it runs."""
    labels: dict[LabelName, LabelValue] = Field({}, max_length=16)
    """Labels by which the source selects its numbers."""


class Deployment(Model):
    """The run of the deploy tool that starts the gate; shown to people, never followed. `committed_at` is when the
    change was committed that it brings, from which its lead time counts. `traceparent` is the span of the run that the
    gate's span is a part of (W3C Trace Context)."""

    id: Text | None = None
    url: Text | None = None
    actor: Text | None = None
    committed_at: Time | None = None
    traceparent: TraceParent | None = None


class Override(Model):
    """The obstacles that a person has decided to override, and why. It is written to the audit."""

    of: frozenset[Literal["freeze", "quarantine", "lock"]] = Field(min_length=1)
    reason: Text


class VerifyRequest(Model):
    """`POST /gates/verify`. `lock` is the holder's name of the deploy lock under which this deploy runs.

    With `awaits_switch` the caller switches the traffic after the gate has begun, and says so by `POST
    /gates/{id}/switched`: from there on the policy's times count, and before it the gate does not pass.

    `rollback_window` is how long after the verdict the baseline can still take the traffic, instead of the service's
    configured value: after that people are notified of a late regression, and nothing is rolled back.

    `addresses` are those between which the caller switches, by target, such as `10.0.1.10:3000`: compared with those of
    the service, and never followed.
    """

    service: Name
    candidate: Version
    policy: Name | None = None
    baseline: Version | None = None
    deployment: Deployment = Deployment()
    rollback_window: Span | None = None
    rollback: Literal["auto", "off"] = "auto"
    awaits_switch: bool = False
    lock: Text | None = None
    override: Override | None = None
    addresses: dict[Name, Annotated[tuple[Text, ...], Field(max_length=_MOST_ADDRESSES)]] = Field(
        default_factory=dict, max_length=_MOST_ADDRESSES
    )

    @model_validator(mode="after")
    def _arms_differ(self) -> Self:
        if self.baseline is not None and self.baseline == self.candidate:
            raise ValueError("baseline is the candidate itself: name the version before it, or leave it out")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what an earlier release does not know, unless it is asked for: such a replica can then run the gate
        too, and the request keeps the hash by which its gate is joined."""
        body: dict[str, Any] = handler(self)
        if not self.awaits_switch:
            body.pop("awaits_switch", None)
        if not self.addresses:
            body.pop("addresses", None)
        return body


class ActionTest(Model):
    """`POST /actions/{action}/test`. Unless `run` says so, it is looked at what would be done, and nothing is changed.

    The action is told of these versions as if the candidate were to be rolled back now.
    """

    service: Name
    candidate: Version = Version(version="candidate")
    baseline: Version | None = None
    run: bool = False


_MOST_STRATA = 200  # of a label; a gate counts those with the most requests apart
_ROUNDED = 1 + 1e-9
SplitLabel = Annotated[
    str, StringConstraints(pattern=shape(r"^[a-zA-Z_][a-zA-Z0-9_.]{0,99}$", "the name of a label, such as route"))
]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]


class PushedLatency(Model):
    """Latencies in buckets: `edges` are upper edges in seconds, ascending; `counts` has one more, for all beyond."""

    edges: tuple[Amount, ...] = Field(min_length=1, max_length=200)
    counts: tuple[Amount, ...] = Field(max_length=201)
    sum_seconds: Amount = 0.0

    @model_validator(mode="after")
    def _is_a_histogram(self) -> Self:
        self.histogram()
        return self

    def histogram(self) -> Histogram:
        return Histogram((*self.edges, inf), self.counts, self.sum_seconds)


class PushedStratum(Model):
    """Counts of one value of a label. `latency` has the edges of the latency of all."""

    requests: Amount
    errors: Amount
    latency: PushedLatency | None = None

    @model_validator(mode="after")
    def _errors_are_requests(self) -> Self:
        if self.errors > self.requests:
            raise ValueError("errors are counted among requests and cannot be more")
        return self


class PushedCounts(Model):
    """Counts of one arm: since the previous push, or in all if `totals` are pushed. `series` are counters of one's own
    by name, counted likewise, and `values` measured values of one's own, as they are now. `by` splits requests, errors
    and, in the edges of `latency`, latencies by the values of labels, such as routes: `{"route": {"/checkout":
    {"requests": 90, "errors": 2}}}`."""

    requests: Amount
    errors: Amount
    latency: PushedLatency | None = None
    series: dict[Name, Amount] = Field({}, max_length=100)
    values: dict[Name, Annotated[float, Field(allow_inf_nan=False)]] = Field({}, max_length=100)
    by: dict[SplitLabel, dict[Text, PushedStratum]] = Field({}, max_length=5)

    @model_validator(mode="after")
    def _errors_are_requests(self) -> Self:
        if self.errors > self.requests:
            raise ValueError("errors are counted among requests and cannot be more")
        return self

    @model_validator(mode="after")
    def _strata_are_parts(self) -> Self:
        for label, strata in self.by.items():
            if len(strata) > _MOST_STRATA:
                raise ValueError(f"by.{label} has {len(strata)} values: send the {_MOST_STRATA} with the most requests")
            requests, errors = (sum(getattr(each, name) for each in strata.values()) for name in ("requests", "errors"))
            if requests > self.requests * _ROUNDED or errors > self.errors * _ROUNDED:
                text = f"{requests:g} requests and {errors:g} errors"
                raise ValueError(f"by.{label} adds up to {text}, of {self.requests:g} and {self.errors:g}")
            self._check_latencies(label, {name: each.latency for name, each in strata.items() if each.latency})
        return self

    def _check_latencies(self, label: str, parts: Mapping[str, PushedLatency]) -> None:
        for name, part in parts.items():
            if self.latency is None or part.edges != self.latency.edges:
                raise ValueError(f"by.{label}.{name} has latencies in other edges than all: send `latency` beside `by`")
        for place, most in enumerate(self.latency.counts if self.latency is not None else ()):
            amount = sum(part.counts[place] for part in parts.values())
            if amount > most * _ROUNDED:
                raise ValueError(f"by.{label} adds up to {amount:g} latencies in bucket {place}, of {most:g}")

    def counts(self) -> Counts:
        return Counts(self.requests, self.errors, self.latency.histogram() if self.latency else None)


class PushedEvidence(Model):
    """`POST /gates/{id}/evidence`. `id` names this push: the same one again changes nothing.

    The counts are increases since the sender's push before, or `totals` since it began to count. Totals carry the time
    `at` which they were read, so that a push that was overtaken is not taken for a counter that began anew.
    """

    id: IdempotencyKey
    sender: Name = "push"
    candidate: PushedCounts | None = None
    baseline: PushedCounts | None = None
    totals: bool = False
    at: Time | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.candidate is None and self.baseline is None:
            raise ValueError("candidate or baseline is needed")
        if self.totals and self.at is None:
            raise ValueError("at is needed with totals: the time when they were read")
        return self
