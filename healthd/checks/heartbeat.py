"""Heartbeat: another program, such as a nightly job, must report in within its period, or by its schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, model_validator

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.heartbeat_record import SKEW, Record
from healthd.cron import Cron, Zone, next_time, trigger
from healthd.model import FailureKind, Measure, Observed, Result
from healthd.units import Duration, show_duration, stamp

_UNREAD = timedelta(seconds=15)  # for which a job that may have reported to another replica is not called late
_OPENING = 60.0  # seconds for which a journal that is not read yet after a start is nothing to tell
_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def _key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not 16 <= len(text) <= 64 or not _KEY.issuperset(text):
        raise ValueError(
            "must be 16 to 64 letters, digits, - and _ that nobody can guess: `uuidgen` prints one, or "
            "`python3 -c 'import uuid; print(uuid.uuid4())'`"
        )
    return key


class HeartbeatConfig(CheckConfig):
    kind: Literal["heartbeat"] = "heartbeat"
    period: Duration | None = None
    """Maximum time between two successes."""
    cron: Cron | None = None
    """Schedule of the job as a cron line, instead of a period; days of the week by name or number, 0 to 7."""
    timezone: Zone = "UTC"
    """Time zone of `cron`."""
    grace: Duration = 60.0
    """Extra time by which a success may be late."""
    max_duration: Duration | None = None
    """Longest time that a run may take whose start was reported; not limited by default."""
    key: Annotated[SecretStr, AfterValidator(_key)] | None = None
    """Key of the address `/ping/KEY`, at which the job reports without a token."""
    fall: int = Field(1, ge=1)
    """Number of failures in a row that make the check unhealthy; one is enough, since `grace` already allows for
    delays."""
    rise: int = Field(1, ge=1)
    """Number of successes in a row that make the check healthy again."""

    @model_validator(mode="after")
    def _has_one_schedule(self) -> Self:
        if (self.period is None) == (self.cron is None):
            raise ValueError("write either period, such as 24h, or cron, such as 30 2 * * *")
        return self


class Heartbeat:
    """Unhealthy when the last run failed or takes too long, and when no success was reported by the time that the
    period or schedule allows, with its grace; one is also granted to a job that never reported."""

    config_model: ClassVar[type[HeartbeatConfig]] = HeartbeatConfig

    def __init__(self, config: HeartbeatConfig, context: CheckContext) -> None:
        self._config, self._name, self._clock = config, context.name, context.clock
        self._records = context.heartbeats
        self._built = context.clock.steady()

    async def probe(self) -> Result:
        if not await self._records.ready(self._config.patience):
            unread = "earlier reports are unknown until the journal has been read"
            opening = self._clock.steady() - self._built < _OPENING
            return replace(Result.degraded(FailureKind.EXPIRED, unread), expected=opening)
        now = self._clock.now()
        record = self._records.get(self._name, now)
        due = self._due(record)
        observed = _observed(record, due)
        measures = [] if record.duration is None else [Measure("duration", record.duration, "s")]
        if record.exit_code is not None:
            measures.append(Measure("exit_code", record.exit_code))
        result = self._result(record, now, due, observed)
        return replace(result, measures=tuple(measures), changes_in=self._changes_in(record, now, due))

    async def close(self) -> None:
        """Do nothing: no resource is open."""

    def _result(self, record: Record, now: datetime, due: datetime, observed: Observed) -> Result:
        last = record.succeeded
        if record.failed and record.ended is not None:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, _failure(record, now), observed=observed)
        if overdue := self._overdue(record, now):
            return Result.unhealthy(FailureKind.TIMEOUT, _overrun(overdue, now), observed=observed)
        if last is not None and last > now + SKEW:
            ahead = f"the last report is dated {stamp(last)}, which is to come: a clock was set back"
            return Result.degraded(FailureKind.EXPIRED, ahead, observed=observed)
        if now >= due and not self._may_be_elsewhere(now, due):
            missing = f"no report ever came; the first was due by {_second(due)}"
            if last is not None:
                missing = f"nothing reported in for {_length(now, last)}"
            return Result.unhealthy(FailureKind.EXPIRED, missing, observed=observed)
        if last is None:
            waiting = f"no report yet; the first is due by {_second(due)}"
            return replace(Result.degraded(FailureKind.EXPIRED, waiting, observed=observed), expected=True)
        return Result.healthy(f"last success {_ago(now, last)}", observed=observed)

    def _due(self, record: Record) -> datetime:
        """Return the time by which the next success must be reported. A run that began in time may take its time."""
        config, base = self._config, record.succeeded or record.since
        if config.cron is not None:
            times = trigger(config.cron, ZoneInfo(config.timezone))
            due = next_time(times, base + timedelta(microseconds=1)) or datetime.max.replace(tzinfo=UTC)
        else:
            assert config.period is not None
            due = base + timedelta(seconds=config.period)
        due = min(due, datetime.max.replace(tzinfo=UTC) - timedelta(days=366)) + timedelta(seconds=config.grace)
        begun = max((at for at in record.runs.values() if base <= at <= due), default=None)
        if begun is not None and config.max_duration is not None:
            due = max(due, begun + timedelta(seconds=config.max_duration))
        return due

    def _overdue(self, record: Record, now: datetime) -> list[tuple[str, datetime]]:
        """Return the runs that take too long with their starts, the first first. The end of another run ends none."""
        return [(run, begun) for run, begun, until in self._deadlines(record) if until <= now]

    def _deadlines(self, record: Record) -> list[tuple[str, datetime, datetime]]:
        """Return each run under way, its start and the time by which it must end, the first first."""
        if self._config.max_duration is None:
            return []
        longest = timedelta(seconds=self._config.max_duration)
        return [(run, at, at + longest) for run, at in sorted(record.runs.items(), key=lambda it: it[1])]

    def _changes_in(self, record: Record, now: datetime, due: datetime) -> float | None:
        """Return the seconds until a limit passes, if one is to come: the check must look then, not an interval
        later."""
        limits = [due, *(until for _, _, until in self._deadlines(record))]
        if self._records.shared:
            limits.append(due + _UNREAD)
        return min(((limit - now).total_seconds() for limit in limits if limit > now), default=None)

    def _may_be_elsewhere(self, now: datetime, due: datetime) -> bool:
        """True if a report that came in time to another replica may not have been read yet."""
        records = self._records
        return records.shared and (records.read_at is None or records.read_at < due) and now - due < _UNREAD


def _failure(record: Record, now: datetime) -> str:
    assert record.ended is not None
    code = f" with exit code {record.exit_code}" if record.exit_code is not None else ""
    after = f", after {show_duration(round(record.duration, 1))}" if record.duration is not None else ""
    last_line = f": {record.log[-1]}" if record.log else ""
    return f"the job failed{code} {_ago(now, record.ended)}{after}{last_line}"


def _overrun(overdue: list[tuple[str, datetime]], now: datetime) -> str:
    run, begun = overdue[0]
    more = len(overdue) - 1
    others = f", nor {'has' if more == 1 else 'have'} {more} more" if more else ""
    return f"{f'run {run}' if run else 'a run'} has not ended {_length(now, begun)} after its start{others}"


def _observed(record: Record, due: datetime) -> Observed:
    observed: dict[str, str | int | float | list[str] | None] = {
        "lastBeat": None if record.succeeded is None else _second(record.succeeded),
        "nextBefore": _second(due),
    }
    if record.duration is not None:
        observed["lastDuration"] = round(record.duration, 3)
    if record.exit_code is not None:
        observed["exitCode"] = record.exit_code
    if record.runs:
        observed["runningSince"] = _second(min(record.runs.values()))
    if record.log:
        observed["log"] = list(record.log)
    return observed


def _ago(now: datetime, moment: datetime) -> str:
    return f"{_length(now, moment)} ago" if round((now - moment).total_seconds()) > 0 else "just now"


def _length(now: datetime, moment: datetime) -> str:
    return show_duration(max(round((now - moment).total_seconds()), 0))


def _second(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
