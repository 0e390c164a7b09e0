"""State of a queue of BullMQ, and the status that it means. No I/O here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from healthd.checks.database import DatabaseConfig
from healthd.checks.redis_connection import RedisURI
from healthd.model import FailureKind, Measure, Result, Status
from healthd.units import Duration, show_duration
from healthd.wording import shape

_QueueName = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[^:\s\x00-\x1f]{1,200}$", "the name of a queue, without colons and spaces")),
]


class _Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="after")
    def _degraded_comes_first(self) -> Self:
        degraded, unhealthy = getattr(self, "degraded", None), getattr(self, "unhealthy", None)
        if degraded is not None and unhealthy is not None and degraded > unhealthy:
            raise ValueError("degraded must not be higher than unhealthy: it would never be seen")
        return self


class AgeLimits(_Limits):
    """Limits on a length of time."""

    degraded: Duration | None = None
    """Time beyond which the check is degraded."""
    unhealthy: Duration | None = None
    """Time beyond which the check is unhealthy."""


class NumberLimits(_Limits):
    """Limits on a number."""

    degraded: Annotated[int, Field(ge=0)] | None = None
    """Number beyond which the check is degraded."""
    unhealthy: Annotated[int, Field(ge=0)] | None = None
    """Number beyond which the check is unhealthy."""


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
        "paused": queue.paused,
        "workers": queue.workers,
    }
    if not queue.exists and not queue.workers:
        nothing = (
            f"no queue {config.queue} here: there is no key {config.prefix}:{config.queue}:meta, nor a worker of it"
        )
        return Result.unhealthy(FailureKind.MISCONFIGURED, nothing, observed=observed)
    wrong = list(_wrong(queue, config))
    worst = Status.UNHEALTHY if any(status is Status.UNHEALTHY for status, _ in wrong) else Status.DEGRADED
    text = "; ".join(said for _, said in sorted(wrong, key=lambda each: each[0] is not Status.UNHEALTHY))
    kind = FailureKind.THRESHOLD if wrong else None
    measures = [Measure("waiting", queue.waiting), Measure("active", queue.active), Measure("delayed", queue.delayed)]
    measures += [Measure("oldest", queue.oldest or 0.0, "s"), Measure("failed_last_hour", queue.failed)]
    if queue.workers is not None:
        measures.append(Measure("workers", queue.workers))
    status = worst if wrong else Status.HEALTHY
    return Result(status, kind, text or _fine(queue), observed=observed, measures=tuple(measures))


def _wrong(queue: Queue, config: BullMQConfig) -> Iterator[tuple[Status, str]]:
    if queue.workers is not None and queue.workers < config.workers:
        there = "no worker is" if not queue.workers else f"{queue.workers} of {config.workers} workers are"
        status = Status.UNHEALTHY if not queue.workers else Status.DEGRADED
        yield status, f"{there} connected, and {_waiting(queue.waiting)}"
    if queue.paused:
        yield Status.DEGRADED, f"the queue is paused, and {_waiting(queue.waiting)}"
    if queue.oldest is not None:
        yield from _beyond("a job has waited for", queue.oldest, config.oldest, lambda it: show_duration(round(it)))
    yield from _beyond("waiting jobs:", queue.waiting, config.waiting, "{:g}".format)
    yield from _beyond("jobs that failed in the last hour:", queue.failed, config.failed, "{:g}".format)


def _beyond(
    what: str, value: float, limits: AgeLimits | NumberLimits, show: Callable[[float], str]
) -> Iterator[tuple[Status, str]]:
    for status, limit in ((Status.UNHEALTHY, limits.unhealthy), (Status.DEGRADED, limits.degraded)):
        if limit is not None and value > limit:
            yield status, f"{what} {show(value)}, more than {show(limit)}"
            return


def _waiting(jobs: int) -> str:
    return "1 job waits" if jobs == 1 else f"{jobs} jobs wait"


def _fine(queue: Queue) -> str:
    workers = "" if queue.workers is None else f", {queue.workers} worker{'s' if queue.workers != 1 else ''}"
    return f"{queue.waiting} waiting, {queue.active} active{workers}"
