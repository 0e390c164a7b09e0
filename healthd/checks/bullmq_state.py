"""State of a queue of BullMQ, and the status that it means. No I/O here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from healthd.checks.database import DatabaseConfig
from healthd.checks.finding import Finding, degraded, sum_up, unhealthy
from healthd.checks.limits import AgeLimits, NumberLimits, beyond, show_age
from healthd.checks.redis_options import RedisURI
from healthd.model import FailureKind, Measure, Result
from healthd.units import Duration
from healthd.wording import shape

_QueueName = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[^:\s\x00-\x1f]{1,200}$", "the name of a queue, without colons and spaces")),
]


class BullMQConfig(DatabaseConfig):
    kind: Literal["bullmq"] = "bullmq"
    uri: RedisURI
    """Address of the queue's Redis, as that of a check `redis`."""
    queue: _QueueName
    """Name of the queue."""
    prefix: str = "bull"
    """Prefix of its keys, where the application sets one."""
    workers: int = Field(1, ge=0, le=10_000)
    """Least number of connected workers; 0: not looked at, as where `CLIENT LIST` is not allowed."""
    oldest: AgeLimits = AgeLimits(degraded=300.0, unhealthy=1800.0)
    """Limits on how long the job waits that has waited longest."""
    waiting: NumberLimits = NumberLimits()
    """Limits on the number of waiting jobs, delayed ones left out; none unless given."""
    failed: NumberLimits = NumberLimits()
    """Limits on the number of jobs that failed for good within the last hour; none unless given."""
    interval: Duration = 30.0
    """Time between probes, plus or minus a tenth."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue at one moment. `oldest` is how long the first job waits, in seconds, None if none does; `failed` counts
    the last hour; `workers` is None if it is not looked at."""

    exists: bool
    waiting: int
    active: int
    delayed: int
    failed: int
    oldest: float | None
    paused: bool
    workers: int | None


def judge(queue: Queue, config: BullMQConfig) -> Result:
    """Return the worst of all that is wrong with a queue."""
    observed = {
        "waiting": queue.waiting,
        "active": queue.active,
        "delayed": queue.delayed,
        "failedLastHour": queue.failed,
        "oldestSeconds": None if queue.oldest is None else round(queue.oldest, 3),
        "queuePaused": queue.paused,
        "workers": queue.workers,
    }
    if not queue.exists and not queue.workers:
        nothing = (
            f"no queue {config.queue} here: there is no key {config.prefix}:{config.queue}:meta, nor a worker of it"
        )
        return Result.unhealthy(FailureKind.MISCONFIGURED, nothing, observed=observed)
    measures = [Measure("waiting", queue.waiting), Measure("active", queue.active), Measure("delayed", queue.delayed)]
    measures += [Measure("oldest", queue.oldest or 0.0, "s"), Measure("failed_last_hour", queue.failed)]
    if queue.workers is not None:
        measures.append(Measure("workers", queue.workers))
    found = list(_wrong(queue, config))
    return sum_up(found, fine=_fine(queue), observed=observed, measures=tuple(measures))


def _wrong(queue: Queue, config: BullMQConfig) -> Iterator[Finding]:
    if queue.workers is not None and queue.workers < config.workers:
        there = "no worker is" if not queue.workers else f"{queue.workers} of {config.workers} workers are"
        bad = degraded if queue.workers else unhealthy
        yield bad(f"{there} connected, and {_waiting(queue.waiting)}")
    if queue.paused:
        yield degraded(f"the queue is paused, and {_waiting(queue.waiting)}")
    if queue.oldest is not None:
        yield from beyond("a job has waited for", queue.oldest, config.oldest, show_age)
    yield from beyond("waiting jobs:", queue.waiting, config.waiting)
    yield from beyond("jobs that failed in the last hour:", queue.failed, config.failed)


def _waiting(jobs: int) -> str:
    return "1 job waits" if jobs == 1 else f"{jobs} jobs wait"


def _fine(queue: Queue) -> str:
    workers = "" if queue.workers is None else f", {queue.workers} worker{'s' if queue.workers != 1 else ''}"
    return f"{queue.waiting} waiting, {queue.active} active{workers}"
