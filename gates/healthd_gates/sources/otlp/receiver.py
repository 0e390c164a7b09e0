"""Hands what arrives to the gates that count by it. The API gives it the exports; there is one for each process."""

from __future__ import annotations

from collections.abc import Callable, Collection

from healthd.runtime.clock import Clock
from healthd_gates.sources.otlp.messages import Resource
from healthd_gates.sources.otlp.subscription import Subscription

_MOST_STRANGERS = 20


class Receiver:
    """The gates of this process that count by telemetry, by service."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._strangers: dict[str, float] = {}  # the newest last, with when it came

    def note_stranger(self, name: str) -> None:
        """Note a service name of telemetry that no service counts by, of which SDKs do not always tell."""
        self._strangers.pop(name, None)
        self._strangers[name] = self._clock.now().timestamp()
        if len(self._strangers) > _MOST_STRANGERS:
            del self._strangers[next(iter(self._strangers))]

    def strangers(self, since: float) -> list[str]:
        """Return the service names of such telemetry that came since, the newest first."""
        return [name for name, at in reversed(self._strangers.items()) if at >= since]

    def subscribe(self, service: str, subscription: Subscription) -> Callable[[], None]:
        """Hand the service's telemetry to a gate from now on, until the returned function is called."""
        self._subscriptions.setdefault(service, []).append(subscription)

        def leave() -> None:
            others = self._subscriptions.get(service, [])
            if subscription in others:
                others.remove(subscription)
            if not others:
                self._subscriptions.pop(service, None)

        return leave

    def wants(self, metric: str) -> bool:
        """True if any gate counts by a metric."""
        return any(metric in each.metrics for found in self._subscriptions.values() for each in found)

    def take(self, services: Collection[str], resource: Resource) -> int:
        """Hand on what a process sent, which is of these services. Return how much of it was beyond the limits."""
        now = self._clock.now().timestamp()
        return max(
            (each.take(resource, now) for service in services for each in self._subscriptions.get(service, ())),
            default=0,
        )
