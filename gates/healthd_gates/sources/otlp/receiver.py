"""Hands what arrives to the gates that count by it. The API gives it the exports; there is one for each process."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf

from healthd.runtime.clock import Clock
from healthd_gates.sources.otlp.messages import Resource
from healthd_gates.sources.otlp.subscription import Subscription

_MOST_STRANGERS = 20
_LONGEST_START = 60.0  # seconds in which the journal says which gates go on here, if it can be read at all


class Receiver:
    """The gates of this process that count by telemetry, by service.

    What arrives for a gate that is about to go on here, after a restart, would count for nobody: unless the receiver is
    `settled`, it `awaits` such gates, and whoever sends keeps what it has.
    """

    def __init__(self, clock: Clock, *, settled: bool = True) -> None:
        self._clock = clock
        self._unsettled_until = 0.0 if settled else clock.steady() + _LONGEST_START
        self._awaited: dict[str, float] = {}  # services, and until when
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

    @property
    def is_settled(self) -> bool:
        """True once it is known which gates may go on here, and until the end of the process."""
        return self._clock.steady() >= self._unsettled_until

    def settle(self, services: Collection[str], seconds: float) -> None:
        """Note the services that have gates by the journal: one that does not run here by now may within `seconds`."""
        until = self._clock.steady() + seconds
        self._awaited = {name: until for name in services if name not in self._subscriptions}
        self._unsettled_until = 0.0

    @property
    def is_waiting(self) -> bool:
        """True while a gate of some service may still be about to go on here after the start."""
        now = self._clock.steady()
        return any(now < until for until in self._awaited.values())

    def await_only(self, services: Collection[str], seconds: float = inf) -> None:
        """Await no longer what is not among these services, and those for `seconds` at most; nothing more is awaited,
        and nothing longer."""
        until = self._clock.steady() + seconds
        self._awaited = {name: min(before, until) for name, before in self._awaited.items() if name in services}

    def unsettle(self) -> None:
        """Await what comes after this process: its gates end here."""
        self._unsettled_until = inf

    def awaits(self, services: Collection[str]) -> bool:
        """True if a gate of one of these services may be about to go on, here or after this process."""
        now = self._clock.steady()
        return bool(services) and (not self.is_settled or any(now < self._awaited.get(name, 0.0) for name in services))

    def subscribe(self, service: str, subscription: Subscription) -> Callable[[], None]:
        """Hand the service's telemetry to a gate from now on, until the returned function is called."""
        self._subscriptions.setdefault(service, []).append(subscription)
        self._awaited.pop(service, None)

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
