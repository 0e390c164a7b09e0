"""State of a RabbitMQ and of one of its queues, and the status that they mean. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator
from yarl import URL

from healthd.checks.client_tls import ClientTLS
from healthd.checks.contract import CheckConfig
from healthd.checks.finding import Finding, degraded, sum_up, unhealthy
from healthd.checks.http_address import http_url
from healthd.checks.limits import AgeLimits, NumberLimits, beyond, show_age
from healthd.model import FailureKind, JSONScalar, Measure, Result
from healthd.units import Duration

_WORKING = ("running", "idle", "flow")
_AMQP_PORTS = (5671, 5672)
_PLAIN_PORT = 15672
_FIRST = 1e9  # 2001, in Unix seconds: as milliseconds that is no time that a message has
_WRONG_CLOCK = 60.0  # seconds by which the clock of a publisher may be ahead


def _of_the_management(address: SecretStr) -> SecretStr:
    if address.get_secret_value().startswith(("amqp://", "amqps://")):
        raise ValueError("is the broker's address: write the management's, as https://user:password@host:15671")
    url = URL(http_url(address).get_secret_value())
    if url.explicit_port in _AMQP_PORTS:
        raise ValueError("has a port of AMQP: the management listens on 15672, with TLS on 15671 or 443")
    if url.query_string or url.fragment:
        raise ValueError("has a ? or #: write the address of the management alone, as https://user:password@host:15671")
    if url.user is None:
        raise ValueError("names no user, whom the management asks for: write https://user:password@host:15671")
    if url.path.rstrip("/").endswith("/api"):
        raise ValueError("ends with /api, which healthd adds: write the address before it")
    return address


class RabbitMQConfig(CheckConfig, ClientTLS):
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["rabbitmq"] = "rabbitmq"
    url: Annotated[SecretStr, AfterValidator(_of_the_management)]
    """Address of the management, with a user: `https://user:password@host:15671`."""
    vhost: str = Field("/", min_length=1)
    """Virtual host of the queue."""
    queue: str | None = Field(None, min_length=1)
    """Name of a queue; without one the alarms of the cluster alone are looked at."""
    consumers: int = Field(1, ge=0, le=10_000)
    """Least number of consumers of the queue; 0: not looked at."""
    oldest: AgeLimits = AgeLimits(degraded=300.0, unhealthy=1800.0)
    """Limits on the age of the message that is next, where its publisher gave it a `timestamp` and the queue tells."""
    waiting: NumberLimits = NumberLimits()
    """Limits on the number of messages that no consumer has yet; none unless given."""
    unacknowledged: NumberLimits = NumberLimits()
    """Limits on the number of messages that consumers have and did not acknowledge; none unless given."""
    interval: Duration = 30.0
    """Time between probes, plus or minus a tenth."""

    @property
    def notes(self) -> tuple[str, ...]:
        url = URL(self.url.get_secret_value())
        if (url.scheme, url.explicit_port) == ("https", _PLAIN_PORT):
            return ("url has https with 15672, where a management listens without TLS; with TLS it is 15671",)
        return ()

    @model_validator(mode="after")
    def _is_of_a_queue(self) -> Self:
        alone = self.model_fields_set & {"vhost", "consumers", "oldest", "waiting", "unacknowledged"}
        if self.queue is None and alone:
            raise ValueError(f"{', '.join(sorted(alone))} without a queue: name the queue that is meant")
        return self


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue at one moment. `oldest` is the age of the next message in seconds, None if it is not known."""

    name: str
    state: str
    waiting: int
    unacknowledged: int
    consumers: int
    oldest: float | None
    members: Sequence[str] = ()
    online: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Broker:
    """Findings of one probe. `alarms` as `memory on rabbit@a`; `findings` are of what could not be read."""

    alarms: Sequence[str] = ()
    queue: Queue | None = None
    findings: Sequence[Finding] = field(default_factory=tuple)


def queue_of(document: dict[str, Any], now: float) -> Queue | None:
    """Return the queue of a document of the management, `now` in Unix seconds; None as long as the figures are
    missing, as for some seconds after a queue or its node began."""
    try:
        waiting, unacknowledged = int(document["messages_ready"]), int(document["messages_unacknowledged"])
        consumers, state = int(document["consumers"]), str(document["state"])
    except (KeyError, TypeError, ValueError):
        return None
    stamped = document.get("head_message_timestamp")
    oldest = _age(stamped, now) if waiting and isinstance(stamped, int) else None
    members, online = document.get("members") or (), document.get("online") or ()
    return Queue(str(document.get("name")), state, waiting, unacknowledged, consumers, oldest, members, online)


def _age(stamped: float, now: float) -> float | None:
    """Return the age of a message in seconds; None where its publisher's `timestamp` is of the future. AMQP has seconds
    there, and many a publisher writes milliseconds."""
    if stamped > 1000 * _FIRST:
        stamped /= 1000
    return max(0.0, now - stamped) if stamped <= now + _WRONG_CLOCK else None


def judge(broker: Broker, config: RabbitMQConfig, latency: float) -> Result:
    """Return the worst of all that is wrong. `latency` is that of the first answer, in seconds."""
    observed: dict[str, JSONScalar | list[str]] = {"alarms": list(broker.alarms)}
    found, measures, fine = [*broker.findings, *_alarming(broker.alarms)], list[Measure](), ""
    if (queue := broker.queue) is not None:
        observed |= {
            "state": queue.state,
            "waiting": queue.waiting,
            "unacknowledged": queue.unacknowledged,
            "consumers": queue.consumers,
            "oldestSeconds": None if queue.oldest is None else round(queue.oldest, 3),
        }
        measures += [Measure("waiting", queue.waiting), Measure("unacknowledged", queue.unacknowledged)]
        measures.append(Measure("consumers", queue.consumers))
        if queue.oldest is not None:
            measures.append(Measure("oldest", queue.oldest, "s"))
        found += _wrong(queue, config)
        fine = f"{queue.waiting} waiting, {queue.unacknowledged} unacknowledged, {_consumers(queue.consumers)}"
    return sum_up(found, fine=fine, latency=latency, observed=observed, measures=tuple(measures))


def _alarming(alarms: Sequence[str]) -> Iterator[Finding]:
    if alarms:
        yield unhealthy(f"publishers are blocked by an alarm: {', '.join(alarms)}", FailureKind.EXHAUSTED)


def _wrong(queue: Queue, config: RabbitMQConfig) -> Iterator[Finding]:
    if queue.state not in _WORKING:
        yield unhealthy(f"the queue {queue.name} is {queue.state}", FailureKind.UNEXPECTED_RESPONSE)
    if gone := [node for node in queue.members if node not in queue.online]:
        yield degraded(f"{len(gone)} of {len(queue.members)} members of the queue are not online: {', '.join(gone)}")
    if queue.consumers < config.consumers:
        bad = degraded if queue.consumers else unhealthy
        there = f"{queue.consumers} of {config.consumers} consumers are there" if queue.consumers else "no consumer"
        yield bad(f"{there}, and {_messages(queue.waiting)}")
    if queue.oldest is not None:
        yield from beyond("the next message is old:", queue.oldest, config.oldest, show_age)
    yield from beyond("waiting messages:", queue.waiting, config.waiting)
    yield from beyond("unacknowledged messages:", queue.unacknowledged, config.unacknowledged)


def _messages(number: int) -> str:
    return "1 message waits" if number == 1 else f"{number} messages wait"


def _consumers(number: int) -> str:
    return "1 consumer" if number == 1 else f"{number} consumers"
