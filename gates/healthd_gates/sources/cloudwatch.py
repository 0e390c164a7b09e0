"""Counts of an Application Load Balancer's target groups, from CloudWatch. `cloudwatch_api.py` makes the requests.

Percentiles of different minutes or groups cannot be added up, so none is requested. Trimmed counts can: how many
answers took at most so many seconds, for each bucket edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from math import ceil, inf
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from healthd.aws.region import check_region
from healthd.config.model import Name
from healthd.extras import how_to_get
from healthd.model import FailureKind
from healthd.units import Duration, show_duration
from healthd.wording import shape
from healthd_gates.sources.arm_look import ArmLook, Standpoint, States, combined
from healthd_gates.sources.cloudwatch_api import MINUTE, CloudWatch, Metric, Minutes
from healthd_gates.sources.contract import ArmError, Arms, Cursor, Look, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.endpoint import all_of
from healthd_gates.sources.increase import Increase
from healthd_gates.sources.inspection import ArmInspection, Inspection
from healthd_gates.sources.unanswered import Minute, balance, errors_of

_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_INSPECTED = 600  # seconds that an inspection shows to people
_LONGEST = 3 * 3600.0  # seconds that one evaluation reaches back at most
_REQUESTS = Metric("RequestCount", "Sum")
_ERRORS = (Metric("HTTPCode_Target_5XX_Count", "Sum"), Metric("TargetConnectionErrorCount", "Sum"))
_GOOD = tuple(Metric(f"HTTPCode_Target_{status}_Count", "Sum") for status in ("2XX", "3XX", "4XX"))
_ACCOUNT = "unanswered"  # where an arm's account of unanswered requests is kept, beside its minutes
_PRESENT = (Metric("HealthyHostCount", "Maximum"), Metric("UnHealthyHostCount", "Maximum"))
_ANSWERS = Metric("TargetResponseTime", "SampleCount")
_SECONDS = Metric("TargetResponseTime", "Sum")


def _dimension(kind: str, marker: str) -> AfterValidator:
    def cut(text: str) -> str:
        """Return `app/name/id` of an ARN, or the text unchanged."""
        place = text.find(f"{marker}/") if text.startswith("arn:") else -1
        value = text[place:].removeprefix("loadbalancer/") if place >= 0 else text
        if not value.startswith(("app/", "targetgroup/")) or value.count("/") != 2:
            raise ValueError(f"is not the ARN of {kind}")
        return value

    return AfterValidator(cut)


def _settled(values: Mapping[Metric, float]) -> Minute:
    answered = sum(values.get(metric, 0.0) for metric in (*_ERRORS, *_GOOD))
    return Minute(values.get(_REQUESTS, 0.0), answered, values.get(_SECONDS, 0.0), values.get(_ANSWERS, 0.0))


class CloudWatchConfig(SourceConfig):
    """An Application Load Balancer's target groups. Credentials are the SDK's own: environment, profile, role."""

    kind: Literal["cloudwatch"]
    load_balancer: Annotated[str, _dimension("an Application Load Balancer", "loadbalancer")]
    """The ARN of the load balancer."""
    target_groups: dict[Name, Annotated[str, _dimension("a target group", "targetgroup")]] = Field(min_length=1)
    """The ARN of the target group of each target."""
    region: str | None = None
    """The AWS region; the SDK's own unless given."""
    endpoint: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """The address of CloudWatch, if not the public one."""
    edges: tuple[Duration, ...] = Field(default_factory=lambda: _EDGES, max_length=40)
    """Bucket edges of the latency, beside the limits of the policy; eight up to 10 s unless given."""
    unanswered: Literal["errors", "ignored"] = "errors"
    """Meaning of requests that no target answered, such as those that end in a 504 of the load balancer; `ignored` for
    a service of WebSockets, whose requests never end in a status that is counted."""
    interval: Duration = 20.0
    """Time between two requests to CloudWatch, which cost money; it has a new number once a minute."""
    delay: Duration = 300.0
    """Time for which the numbers of a minute may still grow, and after which, without any, there is no telemetry."""
    timeout: Duration = 10.0
    """Timeout of one evaluation."""

    @model_validator(mode="after")
    def _sdk_is_there(self) -> Self:
        if find_spec("aiobotocore") is None:
            raise ValueError(f"the cloudwatch source needs the AWS SDK: {how_to_get('aws')}")
        check_region(self.region, self.endpoint)
        return self

    def edges_under(self, limits: Sequence[float]) -> tuple[float, ...]:
        return tuple(sorted({*self.edges, *limits}))

    @property
    def lateness(self) -> float:
        return self.delay + MINUTE

    @property
    def target_groups_read(self) -> Mapping[str, str]:
        return self.target_groups

    def tells_apart(self, arms: Arms) -> bool:
        groups = [self.target_groups.get(arm.target or "") for arm in arms.named().values()]
        return len(groups) == len(set(groups))

    def check(self, arms: Arms) -> None:
        for name, arm in arms.named().items():
            if arm.target not in self.target_groups:
                known = ", ".join(self.target_groups)
                raise ArmError(f"{name}.target", f"is needed: one of those that have a target group: {known}")


class CloudWatchSource:
    """One gate's reader of the load balancer's numbers."""

    config_model: ClassVar[type[SourceConfig]] = CloudWatchConfig

    def __init__(self, config: CloudWatchConfig, arms: Arms, context: SourceContext) -> None:
        self._config, self._clock = config, context.clock
        self._edges = sorted({*config.edges, *context.edges})
        self._groups = {name: config.target_groups[arm.target or ""] for name, arm in arms.named().items()}
        self._api = CloudWatch(config.region, config.endpoint, config.timeout, context.redact)

    async def observe(self, since: Cursor | None) -> Look:
        now = self._clock.now()
        at = now.timestamp()
        if since is None:
            await self._read_all(int(at) // MINUTE * MINUTE - MINUTE, int(at) // MINUTE * MINUTE)
            first = combined({name: ArmLook(None, {}) for name in self._groups}, now, None)
            return replace(first, cursor={**first.cursor, "asked": at, "heard": dict.fromkeys(self._groups, at)})
        before = Standpoint.from_json(since)
        if 0 <= at - since["asked"] < self._config.interval:
            waiting = {name: ArmLook(None, before.arms.get(name, {})) for name in self._groups}
            look = combined(waiting, now, before)
            return replace(look, cursor={**look.cursor, "asked": since["asked"], "heard": since["heard"]})
        # Only minutes that began after the gate, and only those that are over.
        start = max(ceil(before.began / MINUTE) * MINUTE, int(at - _LONGEST) // MINUTE * MINUTE)
        start = max(start, int(min(since["asked"], at) - self._config.delay) // MINUTE * MINUTE)
        minutes = await self._read_all(start, int(at) // MINUTE * MINUTE)
        arms, heard = {}, dict(since["heard"])
        for name, found in minutes.items():
            arms[name], news = self._look(before.arms.get(name, {}), found, at - heard[name], start)
            if news:
                heard[name] = at
        look = combined(arms, now, before)
        return replace(look, cursor={**look.cursor, "asked": at, "heard": heard})

    async def inspect(self) -> Inspection:
        """Return the last minutes of each target group."""
        end = int(self._clock.now().timestamp()) // MINUTE * MINUTE
        found = await self._read_all(end - _INSPECTED, end)
        arms, doubtful = dict[str, ArmInspection](), list[str]()
        for name, minutes in found.items():
            look, _ = self._look({}, minutes, 0.0, end - _INSPECTED)
            newest = float(end - max(minutes)) if minutes else None
            edges = (*self._edges, inf)
            arms[name] = ArmInspection({}, newest, MINUTE, edges, look.counts, float(_INSPECTED))
            if not minutes:
                group = self._groups[name]
                doubtful.append(f"{name}: CloudWatch has nothing of {group} in the last {_INSPECTED // MINUTE} minutes")
        return Inspection(arms, doubtful=tuple(doubtful))

    async def close(self) -> None:
        await self._api.close()

    async def _read_all(self, start: int, end: int) -> Mapping[str, Minutes]:
        if start >= end:
            return {name: {} for name in self._groups}
        buckets = [Metric("TargetResponseTime", f"TC(:{edge:.10g})") for edge in self._edges]
        metrics = [_REQUESTS, *_ERRORS, *_GOOD, *_PRESENT, _ANSWERS, _SECONDS, *buckets]
        dimensions = {
            name: {"LoadBalancer": self._config.load_balancer, "TargetGroup": group}
            for name, group in self._groups.items()
        }
        return await all_of({name: self._api.minutes(dimensions[name], metrics, start, end) for name in dimensions})

    def _look(self, states: States, found: Minutes, quiet: float, start: int) -> tuple[ArmLook, bool]:
        """Return one arm, and whether there was anything new. Each minute is followed by itself: its numbers begin at
        0, and grow while late ones come in. Its unanswered requests are counted once it no longer grows."""
        increase, news = Increase(), False
        account, settled = states.get(_ACCOUNT), dict[int, Minute]()
        after = {minute: state for minute, state in states.items() if minute != _ACCOUNT and int(minute) >= start}
        for minute, values in sorted(found.items()):
            known = states.get(str(minute))
            seen = self._counters(values)
            if known is not None:
                seen = {counter: max(value, known.values.get(counter, 0.0)) for counter, value in seen.items()}
                if seen == known.values:
                    settled[minute] = _settled(values)
                    continue
            begin = known or Snapshot.zero(0.0)
            last = follow(begin, [Snapshot(begin.at + 1, seen)], increase)
            after[str(minute)] = last or begin
            news = True
        if self._config.unanswered == "errors":
            after[_ACCOUNT] = now = balance(account, settled, start)
            late = errors_of(now) - errors_of(account)
            increase.add({Counter(Family.ERRORS, _ACCOUNT): late}, 0)
            news = news or late > 0
        if not news and quiet > self._config.lateness:
            text = f"CloudWatch had nothing new for {show_duration(round(quiet))}"
            return ArmLook(None, after, 1, silence=SourceUnavailable(FailureKind.TIMEOUT, text)), False
        return ArmLook(increase.counts() if news else None, after), news

    def _counters(self, values: Mapping[Metric, float]) -> dict[Counter, float]:
        """Return the counters of a minute. A minute with hosts and no reported requests had none."""
        counters: dict[Counter, float] = {
            Counter(Family.REQUESTS, "alb"): values.get(_REQUESTS, 0.0),
            Counter(Family.ERRORS, "alb"): sum(values.get(metric, 0.0) for metric in _ERRORS),
        }
        if _ANSWERS in values:
            counters[Counter(Family.SUM, "alb")] = values.get(_SECONDS, 0.0)
            counters[Counter(Family.BUCKET, "alb", str(inf))] = values[_ANSWERS]
            for edge in self._edges:
                below = values.get(Metric("TargetResponseTime", f"TC(:{edge:.10g})"), 0.0)
                counters[Counter(Family.BUCKET, "alb", repr(edge))] = below
        return counters
