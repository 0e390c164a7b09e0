"""Counts from the telemetry that OpenTelemetry sends to healthd. `receiver.py` hands it on, `totals.py` turns it into
increases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from healthd.model import FailureKind
from healthd.units import show_duration
from healthd_gates.domain.evidence import Counts, Histogram, Lives
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import Arm, Arms, Cursor, Look, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import missing_label
from healthd_gates.sources.otlp.config import CONVENTIONS, SERVICE, OtlpConfig
from healthd_gates.sources.otlp.receiver import Receiver
from healthd_gates.sources.otlp.subscription import ArmHeard, ArmTerms, Subscription, Uses
from healthd_gates.sources.otlp.totals import Increase, Process, from_json, histogram, to_json
from healthd_gates.sources.selectors import Matcher, Selector

_KEPT = 900.0  # seconds, after which a process that says nothing is gone
_SHOWN = 5
_FEW = 300  # streams
_NOTHING: frozenset[str] = frozenset()


class Otlp:
    """One gate's part of what arrives."""

    config_model: ClassVar[type[SourceConfig]] = OtlpConfig

    def __init__(self, config: OtlpConfig, arms: Arms, context: SourceContext) -> None:
        if context.telemetry is None:
            raise ValueError("the otlp source needs the daemon's receiver")
        self._receiver: Receiver = context.telemetry
        self._config, self._service, self._clock, self._redact = config, arms.service, context.clock, context.redact
        self._terms = {
            name: ArmTerms(config.expected(name, arm, arms.service), _uses_of(config, name, arm))
            for name, arm in arms.named().items()
        }
        self._selectors = {name: config.selectors(name, arm) for name, arm in arms.named().items()}
        self._edges = tuple(sorted({*config.edges, *context.edges}))
        self._by, self._latency_by = context.by, context.latency_by
        self._subscription: Subscription | None = None
        self._leave: Callable[[], None] | None = None

    async def observe(self, since: Cursor | None) -> Look:
        now = self._clock.now()
        at = now.timestamp()
        subscription = self._subscribed(at if since is None else since["began"], at)
        if since is None:
            look = combined({name: ArmLook(None, {}) for name in self._terms}, now, None)
            return replace(look, cursor={**look.cursor, "heard": dict.fromkeys(self._terms, at), "telemetry": {}})
        subscription.drop_ended(at - _KEPT)
        telemetry, heard, arms = dict[str, Any](since["telemetry"]), dict[str, float](), dict[str, ArmLook]()
        for name, arm in subscription.arms.items():
            last = since["heard"][name]
            heard[name] = arm.heard or last
            silence = self._problem(name, arm, subscription)
            if silence is None and at - heard[name] > self._config.silent_after:
                silence = self._silence(subscription, heard[name], at)
            if silence is not None:
                arms[name] = ArmLook(None, {}, 1, silence=silence)
            elif heard[name] == last:
                # The next export is not due yet; before the first one, what comes in its place may be misnamed.
                instead = self._instead(subscription, last) if arm.heard is None and name not in telemetry else ""
                arms[name] = ArmLook(None, {}, notes=(f"no telemetry of it came yet; {instead}",) if instead else ())
            else:
                count = partial(self._counted, arm.copied(), telemetry.get(name), subscription.began, at)
                # Thousands of streams take a part of a second, which the event loop has not.
                counted = await asyncio.to_thread(count) if arm.streams > _FEW else count()
                arms[name], telemetry[name] = counted
        look = combined(arms, now, Standpoint.from_json(since))
        return replace(look, cursor={**look.cursor, "heard": heard, "telemetry": telemetry})

    async def close(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave, self._subscription = None, None

    def _subscribed(self, began: float, opened: float) -> Subscription:
        if self._subscription is None:
            metrics = frozenset(each.name for own in self._selectors.values() for each in own.values())
            instead = dict[str, str]()
            if self._config.signal == "metrics" and not metrics:
                metrics = frozenset(CONVENTIONS)
                stable, older = CONVENTIONS
                instead[older] = stable
            self._subscription = Subscription(
                self._terms,
                metrics,
                began,
                opened,
                instead=instead,
                edges=self._edges,
                per_second=Selector("any", (), self._config.latency_unit).per_second,
                by=self._by,
            )
            self._leave = self._receiver.subscribe(self._service, self._subscription)
        return self._subscription

    def _counted(
        self, processes: Mapping[str, Process], raw: Mapping[str, Any] | None, began: int, at: float
    ) -> tuple[ArmLook, dict[str, Any]]:
        """Return what an arm counted since the look before, and where its streams stand, for the cursor."""
        before = from_json(raw or {})
        increase, span = Increase(), 0.0
        for process, own in processes.items():
            known = before.get(process)
            increase.add(known, own, began)
            if known is not None:
                span = max(span, own.heard - known.heard)
        notes = []
        if increase.odd:
            notes.append(f"{increase.odd} streams fell, which a cumulative one cannot: what they said is left out")
        requests = increase.total("requests")
        strata = {name: (each, min(errors, each)) for name, (each, errors) in increase.strata.items()}
        counts = Counts(
            requests,
            min(increase.total("errors"), requests),
            self._latency(increase, requests),
            strata,
            self._strata_latency(increase),
        )
        found = ArmLook(
            counts, {}, increase.gaps, increase.restarts, notes=tuple(notes), span=span, lives=Lives(increase.restarts)
        )
        stand = {**before, **{process: own.over(before.get(process)) for process, own in processes.items()}}
        return found, to_json({process: own for process, own in stand.items() if own.heard >= at - _KEPT})

    def _latency(self, increase: Increase, requests: float) -> Histogram | None:
        found = histogram(increase.amounts.get("latency", ())) if self._config.measures_latency else None
        return found if found is not None and (found.total > 0 or not requests) else None

    def _strata_latency(self, increase: Increase) -> dict[str, Histogram]:
        if self._latency_by is None:
            return {}
        found = {name: histogram(totals) for name, totals in increase.latencies.items()}
        return {name: latency for name, latency in found.items() if latency is not None and latency.total > 0}

    def _problem(self, name: str, arm: ArmHeard, subscription: Subscription) -> SourceUnavailable | None:
        """Return what makes an arm's numbers wrong."""
        if arm.left_out:
            text = f"{arm.left_out} data points were beyond the limits of a gate: fewer attributes are needed"
            return SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, text)
        if len(arm.sampled) > 1:
            text = "its spans were sampled with different probabilities: they are no fair sample of the requests"
            return SourceUnavailable(FailureKind.UNEXPECTED_RESPONSE, text)
        selectors = self._selectors[name]
        used = {use for process in arm.processes.values() for uses in process.uses.values() for use in uses}
        if "requests" in used and "errors" not in used and (errors := selectors.get("errors")) is not None:
            labels = [dict.fromkeys(subscription.labels.get(errors.name, ()), "-")]
            if (wrong := missing_label(errors, labels if labels[0] else [])) is not None:
                return SourceUnavailable(FailureKind.MISCONFIGURED, f"errors: {wrong}")
        return None

    def _silence(self, subscription: Subscription, since: float, at: float) -> SourceUnavailable:
        text = f"no telemetry of it came for {show_duration(round(at - since))}"
        return SourceUnavailable(
            FailureKind.TIMEOUT, "; ".join(filter(None, (text, self._instead(subscription, since))))
        )

    def _instead(self, subscription: Subscription, since: float) -> str:
        """Return what came since, in the place of an arm's telemetry; empty if nothing did."""
        others = [
            ", ".join(f"{attribute}={value}" if value else f"no {attribute}" for attribute, value in labels)
            for labels in subscription.others(since)[:_SHOWN]
        ]
        text = f"there is some with {'; '.join(others)}" if others else ""
        if not others and (names := [name or "none" for name in self._receiver.strangers(since)]):
            text = f"what came has the {SERVICE} {', '.join(names[:_SHOWN])}, by which nothing here counts"
        return self._redact(text)


def _uses_of(config: OtlpConfig, name: str, arm: Arm) -> Uses:
    """Return what says for what an arm's streams count."""
    selectors, conditions = config.selectors(name, arm), config.conditions_of(name, arm)
    if selectors:
        return lambda metric, labels: frozenset(use for use, each in selectors.items() if each.matches(metric, labels))
    return lambda metric, labels: _by_convention(metric, labels, conditions)


def _by_convention(metric: str, labels: Mapping[str, str], conditions: tuple[Matcher, ...]) -> frozenset[str]:
    if not all(matcher.matches(labels) for matcher in conditions):
        return _NOTHING
    status = labels.get(CONVENTIONS.get(metric, ""), "")
    failed = status.startswith("5") if status else "error.type" in labels
    return frozenset({"requests", "latency", "errors"} if failed else {"requests", "latency"})
