"""Counts of synthetic requests that healthd sends itself. `volley.py` sends them and counts the answers.

A request fails when it is answered with an unexpected status, or not at all; people are told which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from secrets import token_hex
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from healthd.checks.failures import describe
from healthd.model import FailureKind
from healthd.units import Duration, Size
from healthd_gates.domain.smoke_request import SmokeRequest
from healthd_gates.sources.arm_look import ArmLook, Standpoint, combined
from healthd_gates.sources.contract import ArmError, Arms, Cursor, Look, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Snapshot
from healthd_gates.sources.http_options import DirectHttpConfig
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.volley import Orders, Outcome, Volley

_MOST_AT_ONCE = 1000
_FEW = 0.05  # share of the requests that a busy host may miss without a word
_ROOT = SmokeRequest(method="get", path="/")
_EDGES = tuple(0.001 * 1.25**step for step in range(51))  # 1 ms to 70 s, finer than any ratio that is judged


class ProbeConfig(DirectHttpConfig):
    """Synthetic requests that healthd sends to the targets itself."""

    kind: Literal["probe"]
    timeout: Duration = 5.0
    """Timeout of one request; one that was not answered by then has failed."""
    rate: float = Field(2, gt=0, le=500)
    """Requests a second to each arm."""
    requests: tuple[SmokeRequest, ...] = Field(default_factory=lambda: (_ROOT,), min_length=1, max_length=50)
    """The requests, sent in turn; `GET /` unless given."""
    keep_alive: bool = False
    """True if connections are kept alive; otherwise each request has its own, so that a target which accepts no new
    ones is detected."""
    edges: tuple[Duration, ...] = Field(default_factory=lambda: _EDGES, max_length=200)
    """Bucket edges of the latency, beside the limits of the policy; a fine grid unless given."""
    max_size: Size = 1024**2
    """Largest part of an answer that is read."""

    def edges_under(self, limits: Sequence[float]) -> tuple[float, ...]:
        return tuple(sorted({*self.edges, *limits}))

    @property
    def sees_traffic(self) -> bool:
        return False

    @model_validator(mode="after")
    def _keeps_its_rate(self) -> Self:
        if self.rate * self.timeout > _MOST_AT_ONCE:
            raise ValueError(f"rate times timeout is above {_MOST_AT_ONCE} requests at once: lower one of them")
        return self

    def tells_apart(self, arms: Arms) -> bool:
        return arms.baseline is None or arms.candidate.urls != arms.baseline.urls

    def check(self, arms: Arms) -> None:
        for name, arm in arms.named().items():
            if not arm.urls:
                raise ArmError(f"{name}.target", "is needed: the source sends requests to the targets of the service")


class Probe:
    """One gate's synthetic traffic, from the first evaluation until it is closed."""

    config_model: ClassVar[type[SourceConfig]] = ProbeConfig

    def __init__(self, config: ProbeConfig, arms: Arms, context: SourceContext) -> None:
        edges = sorted({*config.edges, *context.edges})
        self._clock = context.clock
        self._volleys = {
            name: Volley(
                Orders(config.requests, arm.urls, config.rate, config.timeout, config.keep_alive, config),
                edges,
                context.redact,
            )
            for name, arm in arms.named().items()
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._told = dict.fromkeys(self._volleys, (0, 0, 0))
        # What is counted begins at 0 with every process; a cursor of another one must not be subtracted from it.
        self._epoch = token_hex(8)

    async def observe(self, since: Cursor | None) -> Look:
        self._keep_firing()
        before = None if since is None else Standpoint.from_json(since)
        arms = {name: self._look(name, before) for name in self._volleys}
        return combined(arms, self._clock.now(), before)

    async def close(self) -> None:
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_firing(self) -> None:
        """Start the tasks that do not run; one that ended has failed, and is restarted after it was reported."""
        for name, volley in self._volleys.items():
            task = self._tasks.pop(name, None)
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()):
                kind = FailureKind.MISCONFIGURED if isinstance(error, OSError) else FailureKind.INTERNAL
                raise SourceUnavailable(kind, f"{name}: no requests are sent: {describe(error)}") from error
            if task is None or task.done():
                task = asyncio.create_task(volley.run(), name=f"probe-{name}")
            self._tasks[name] = task

    def _look(self, name: str, before: Standpoint | None) -> ArmLook:
        tally = self._volleys[name].tally
        snapshot = tally.snapshot(self._clock.steady())
        unsent, missed, unanswered = self._news(name)
        if before is None:
            return ArmLook(None, {self._epoch: snapshot})
        known = before.arms.get(name, {}).get(self._epoch)
        anew = known is None
        increase = Increase()
        last = follow(known or Snapshot.zero(0.0), [snapshot], increase)
        states, gaps = {self._epoch: last or snapshot}, unsent + missed + anew
        counts = increase.counts()
        many = missed if missed > _FEW * counts.requests else 0
        notes = tuple(_causes(unsent, many, tally.last_problem, anew=anew))
        if counts.requests:
            if unanswered:
                notes = (f"{unanswered} requests were not answered; {tally.last_problem}", *notes)
            return ArmLook(counts, states, gaps, notes=notes)
        if unsent:
            silence = SourceUnavailable(FailureKind.EXHAUSTED, f"healthd could not ask: {tally.last_problem}")
            return ArmLook(None, states, gaps, silence=silence)
        return ArmLook(None, states, gaps, notes=notes)

    def _news(self, name: str) -> tuple[int, int, int]:
        """Return counts since the previous evaluation: requests that could not be sent, that healthd missed or is not
        sure of, and that were not answered."""
        volley = self._volleys[name]
        outcomes = volley.tally.outcomes
        now = (
            outcomes[Outcome.UNSENT],
            outcomes[Outcome.DOUBTFUL] + volley.pace.missed,
            outcomes[Outcome.LATE] + outcomes[Outcome.UNREACHED],
        )
        unsent, missed, unanswered = (new - old for new, old in zip(now, self._told[name], strict=True))
        self._told[name] = now
        return unsent, missed, unanswered


def _causes(unsent: int, missed: int, problem: str, *, anew: bool) -> Iterator[str]:
    """Yield why numbers are missing."""
    if anew:
        yield "healthd began to send these requests anew, and counts them from 0 again"
    if unsent:
        yield f"{unsent} requests could not be sent: {problem}"
    if missed:
        yield f"{missed} requests were not sent or not waited for in time, because this host was too busy"
