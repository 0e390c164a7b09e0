"""Reports of jobs, and the record that follows from them. Values and one container; no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from healthd.runtime.events import set_within

SKEW = timedelta(minutes=1)
"""Difference between the clocks of replicas that is nothing strange."""
_MOST_RUNS = 20  # of one job that are under way; of more, the oldest are taken for dead


class Signal(StrEnum):
    """Signal of a report."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `run` tells runs that overlap apart; `log` holds the last lines of what the job wrote."""

    check: str
    signal: Signal
    at: datetime
    run: str = ""
    exit_code: int | None = None
    log: tuple[str, ...] = ()


class Record(BaseModel):
    """Record of one job: what its reports say up to now."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    """Time since which reports are expected."""
    succeeded: datetime | None = None
    """Time of the last success."""
    ended: datetime | None = None
    """Time of the last success or failure."""
    failed: bool = False
    """True if the last end was a failure."""
    exit_code: int | None = None
    """Exit code of the last end, where it was reported."""
    duration: float | None = None
    """Length of the last run in seconds, where its start was reported."""
    runs: Mapping[str, datetime] = {}
    """Starts of the runs under way."""
    over: Mapping[str, datetime] = {}
    """Ends of the last runs: a start that arrives after its end begins nothing."""
    log: tuple[str, ...] = ()
    """Last lines of the last log, unless a later run ended without one."""
    logged: datetime | None = None
    """Time of the report that brought the log."""
    logged_by: str = ""
    """Run whose log it is."""

    def after(self, report: Report, now: datetime) -> Record:
        """Return the record after a report, which may come late or twice; `now` shows times that are wrong: later than
        any clock can be."""
        changes: dict[str, object] = {}
        if report.log:
            changes = {"log": report.log, "logged": report.at, "logged_by": report.run}
        if report.signal is Signal.START:
            if (end := self.over.get(report.run)) is None or not report.at <= end <= now + SKEW:
                changes["runs"] = _latest({**self.runs, report.run: report.at})
        elif report.signal is not Signal.LOG:
            changes |= self._end(report, now)
        return self.model_copy(update=changes)

    def _end(self, report: Report, now: datetime) -> dict[str, object]:
        begun = self.runs.get(report.run)
        if begun is not None and begun > report.at:  # the start of the next run
            begun = None
        changes: dict[str, object] = {}
        if (end := self.over.get(report.run)) is None or end < report.at or end > now + SKEW:
            changes["over"] = _latest({**self.over, report.run: report.at})
        failed = report.signal is Signal.FAILURE
        if not failed and not _is_later(self.succeeded, report.at, now):
            changes["succeeded"] = report.at
        if begun is not None:
            changes["runs"] = {run: at for run, at in self.runs.items() if run != report.run}
        again = (self.ended, self.failed, self.exit_code) == (report.at, failed, report.exit_code)
        if not again and not _is_later(self.ended, report.at, now):
            changes |= {
                "ended": report.at,
                "failed": failed,
                "exit_code": report.exit_code,
                "duration": None if begun is None else (report.at - begun).total_seconds(),
            }
            if not report.log and not self._has_log_of(report):
                changes |= {"log": (), "logged": None, "logged_by": ""}
        return changes

    def _has_log_of(self, end: Report) -> bool:
        """True if the log may be that of the run that ends, and not that of one before."""
        since_the_last = self.logged is not None and (self.ended is None or self.logged > self.ended)
        return since_the_last and self.logged_by == end.run


def _latest(runs: Mapping[str, datetime]) -> dict[str, datetime]:
    return dict(sorted(runs.items(), key=lambda run: run[1])[-_MOST_RUNS:])


def _is_later(known: datetime | None, at: datetime, now: datetime) -> bool:
    """True if a known time is later, and can be true."""
    return known is not None and at < known <= now + SKEW


class Records:
    """Records of all jobs by the names of their checks. `read_at` is the time of the last read of those that other
    replicas know; without others, `shared` is false."""

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.read_at: datetime | None = None
        self.known: dict[str, Record] = {}
        self._ready = asyncio.Event()
        if not shared:
            self._ready.set()

    def get(self, check: str, now: datetime) -> Record:
        """Return the record of a check; for one that is new, the wait begins now."""
        return self.known.setdefault(check, Record(since=now))

    def has_read(self, at: datetime) -> None:
        """Note that everything that was known at a time is here."""
        self.read_at = at
        self._ready.set()

    async def ready(self, patience: float) -> bool:
        """Wait for the first read; false if it did not come in time."""
        return await set_within(patience, self._ready)
