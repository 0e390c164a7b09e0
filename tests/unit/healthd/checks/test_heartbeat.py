"""Something else must report in."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.contract import CheckContext
from healthd.checks.heartbeat import Heartbeat, HeartbeatConfig
from healthd.checks.heartbeat_record import Record, Records, Report, Signal
from healthd.model import FailureKind, Result, Status
from tests.fakes.monitoring import HandClock

HOUR = 3600
HOURLY: dict[str, Any] = {"period": "1h", "grace": "5m"}
NIGHTLY: dict[str, Any] = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "grace": "10m"}


class Job:
    """A check, the clock, and what reports to it."""

    def __init__(self, *, shared: bool = False, **options: Any) -> None:
        self.clock = HandClock()
        self.records = Records(shared=shared)
        config = HeartbeatConfig.model_validate(options or HOURLY)
        self.check = Heartbeat(config, CheckContext("backup", self.clock, {}, self.records))

    def says(self, signal: Signal, **more: Any) -> None:
        now = self.clock.now()
        report = Report("backup", signal, more.pop("at", now), **more)
        self.records.known["backup"] = self.records.get("backup", now).after(report, now)

    async def after(self, seconds: float = 0) -> Result:
        self.clock.seconds += seconds
        return await self.check.probe()

    async def at(self, moment: str) -> Result:
        wanted = datetime.fromisoformat(moment)
        return await self.after((wanted - self.clock.now()).total_seconds())


async def test_on_time() -> None:
    """Healthy from a report on, until period and grace are over, to the second."""
    job = Job()
    job.says(Signal.SUCCESS)
    result = await job.after(3899)
    assert result.status is Status.HEALTHY
    assert result.observed["lastBeat"] == "2026-03-29T00:16:40Z"
    assert result.observed["nextBefore"] == "2026-03-29T01:21:40Z"
    result = await job.after(1)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXPIRED)
    assert result.message == "nothing reported in for 1h5m"


async def test_no_report_yet() -> None:
    """One that is new has a period and its grace to report in: not red before that, and not green either."""
    job = Job()
    result = await job.after()
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.EXPIRED)
    assert (result.message, result.expected) == ("no report yet; the first is due by 2026-03-29T01:21:40Z", True)
    assert result.observed["lastBeat"] is None
    result = await job.after(3900)
    assert (result.status, result.message) == (
        Status.UNHEALTHY,
        "no report ever came; the first was due by 2026-03-29T01:21:40Z",
    )


async def test_a_late_report_heals() -> None:
    """The first report after an outage ends it."""
    job = Job()
    assert (await job.after(10_000)).status is Status.DEGRADED  # the wait begins when it is first looked at
    assert (await job.after(10_000)).status is Status.UNHEALTHY
    job.says(Signal.SUCCESS)
    assert (await job.after()).status is Status.HEALTHY


async def test_by_schedule() -> None:
    """By the next time that the cron line names in its zone, on the day without half past two as well: on 29 March the
    clocks of Berlin go from 2:00 to 3:00."""
    job = Job(**NIGHTLY)
    await job.at("2026-03-27T12:00:00+01:00")
    assert (await job.at("2026-03-28T02:39:59+01:00")).status is Status.DEGRADED
    assert (await job.at("2026-03-28T02:40:00+01:00")).status is Status.UNHEALTHY
    job.says(Signal.SUCCESS)
    assert (await job.at("2026-03-29T01:59:59+01:00")).status is Status.HEALTHY
    assert (await job.at("2026-03-29T05:00:00+02:00")).status is Status.UNHEALTHY
    job.says(Signal.SUCCESS)
    assert (await job.at("2026-03-30T02:39:00+02:00")).status is Status.HEALTHY
    assert (await job.at("2026-03-30T02:40:00+02:00")).status is Status.UNHEALTHY


async def test_by_schedule_in_the_night_with_two_half_past_twos() -> None:
    """The job runs at the first, as by Debian's cron, and is due again on the next day."""
    job = Job(**NIGHTLY)
    await job.at("2027-10-31T00:00:00Z")
    await job.at("2027-10-31T00:31:00Z")
    job.says(Signal.SUCCESS)
    assert (await job.at("2027-10-31T01:45:00Z")).status is Status.HEALTHY
    assert (await job.at("2027-11-01T01:39:00Z")).status is Status.HEALTHY
    assert (await job.at("2027-11-01T01:40:00Z")).status is Status.UNHEALTHY


async def test_a_failure_is_red_at_once() -> None:
    """With its exit code, its length and the last line of its log, until the next success; one that only writes changes
    nothing."""
    job = Job()
    job.says(Signal.START)
    await job.after(90)
    job.says(Signal.FAILURE, exit_code=3, log=("copying", "disk full"))
    result = await job.after(60)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    assert result.message == "the job failed with exit code 3 1m ago, after 1m30s: disk full"
    assert (result.observed["exitCode"], result.observed["lastDuration"]) == (3, 90.0)
    assert result.observed["log"] == ["copying", "disk full"]
    assert [(it.name, it.value) for it in result.measures] == [("duration", 90.0), ("exit_code", 3)]
    job.says(Signal.LOG, log=("more",))
    assert (await job.after()).status is Status.UNHEALTHY
    job.says(Signal.SUCCESS)
    assert (await job.after()).status is Status.HEALTHY


async def test_a_failure_does_not_show_the_log_of_another_run() -> None:
    """Neither of the run before nor of one beside it; what its own wrote before the end is its log."""
    job = Job()
    job.says(Signal.SUCCESS, exit_code=0, log=("dumped 3 tables",))
    await job.after(60)
    job.says(Signal.FAILURE, exit_code=3)
    result = await job.after(60)
    assert result.message == "the job failed with exit code 3 1m ago"
    assert "log" not in result.observed
    job.says(Signal.LOG, log=("disk full",))
    await job.after(60)
    job.says(Signal.FAILURE, exit_code=4)
    assert (await job.after(60)).message == "the job failed with exit code 4 1m ago: disk full"
    job.says(Signal.LOG, log=("all is well",), run="b")
    await job.after(60)
    job.says(Signal.FAILURE, exit_code=5, run="a")
    assert (await job.after(60)).message == "the job failed with exit code 5 1m ago"


async def test_a_run_that_takes_too_long() -> None:
    """One that began in time may take its time; one that is over it is red until it ends, whatever others do."""
    job = Job(**HOURLY, max_duration="2h")
    job.says(Signal.SUCCESS)
    await job.after(HOUR)
    job.says(Signal.START, run="a")
    result = await job.after(2 * HOUR - 1)
    assert (result.status, result.observed["runningSince"]) == (Status.HEALTHY, "2026-03-29T01:16:40Z")
    result = await job.after(1)
    assert (result.kind, result.message) == (FailureKind.TIMEOUT, "run a has not ended 2h after its start")
    job.says(Signal.START, run="b")
    job.says(Signal.SUCCESS, run="b")
    job.says(Signal.SUCCESS)
    result = await job.after(60)
    assert (result.kind, result.message) == (FailureKind.TIMEOUT, "run a has not ended 2h1m after its start")
    job.says(Signal.SUCCESS, run="a")
    result = await job.after()
    assert (result.status, result.message) == (Status.HEALTHY, "last success just now")


async def test_each_run_has_its_own_limit() -> None:
    """Several that hang are counted; a failure ends its run, and the next success makes the check healthy."""
    job = Job(**HOURLY, max_duration="10s")
    for run in ("a", "", "c"):
        job.says(Signal.START, run=run)
        await job.after(1)
    assert (await job.after(9)).message == "run a has not ended 12s after its start, nor have 2 more"
    job.says(Signal.SUCCESS, run="a")
    assert (await job.after(5)).message == "a run has not ended 16s after its start, nor has 1 more"
    job.says(Signal.START)  # the next of those that do not overlap
    job.says(Signal.FAILURE, run="c")
    job.says(Signal.SUCCESS)
    assert (await job.after(60)).status is Status.HEALTHY


async def test_a_start_that_comes_after_its_end_begins_nothing() -> None:
    """The journal gets reports of two replicas in any order; the same run may begin again later."""
    job = Job(**HOURLY, max_duration="10s")
    begun = job.clock.now()
    await job.after(5)
    job.says(Signal.SUCCESS, run="a")
    job.says(Signal.START, run="a", at=begun)
    assert (await job.after(60)).status is Status.HEALTHY
    job.says(Signal.START, run="a")
    assert (await job.after(10)).kind is FailureKind.TIMEOUT


async def test_it_says_when_a_limit_passes() -> None:
    """So that it is looked at then: the end of the run's time, or the time of the next success."""
    job = Job(**HOURLY, max_duration="10s")
    assert (await job.after()).changes_in == 3900
    job.says(Signal.START, run="a")
    await job.after(4)
    job.says(Signal.START, run="b")
    assert (await job.after()).changes_in == 6
    assert (await job.after(6)).changes_in == 4
    job.says(Signal.SUCCESS, run="a")
    job.says(Signal.SUCCESS, run="b")
    assert (await job.after(4000)).changes_in is None


async def test_runs_that_overlap_keep_their_lengths() -> None:
    job = Job()
    job.says(Signal.START, run="a")
    await job.after(10)
    job.says(Signal.START, run="b")
    await job.after(10)
    job.says(Signal.SUCCESS, run="b")
    assert (await job.after(10)).observed["lastDuration"] == 10
    job.says(Signal.SUCCESS, run="a")
    assert (await job.after()).observed["lastDuration"] == 30
    assert "runningSince" not in (await job.after()).observed


async def test_many_runs_that_never_end_cost_no_memory() -> None:
    job = Job()
    for number in range(1000):
        job.says(Signal.START, run=str(number))
    assert len(job.records.known["backup"].runs) == 20


async def test_a_report_that_comes_late_or_twice() -> None:
    """What is older than what is known does not undo it; the same again changes nothing."""
    job = Job()
    start = job.clock.now()
    job.says(Signal.START, at=start)
    job.says(Signal.SUCCESS, at=start + timedelta(seconds=50))
    whole = job.records.known["backup"]
    job.says(Signal.START, at=start)
    job.says(Signal.SUCCESS, at=start + timedelta(seconds=50))
    assert job.records.known["backup"] == whole
    job.says(Signal.FAILURE, at=start + timedelta(seconds=20))
    assert job.records.known["backup"] == whole


async def test_a_clock_that_was_set_back() -> None:
    """A report from a time to come is not believed for a year, and gives way to the next one."""
    job = Job()
    job.says(Signal.SUCCESS, at=job.clock.now() + timedelta(days=365))
    result = await job.after()
    assert result.status is Status.DEGRADED
    assert result.message.endswith("a clock was set back")
    job.says(Signal.SUCCESS)
    assert (await job.after()).status is Status.HEALTHY
    assert (await job.after(2 * HOUR)).status is Status.UNHEALTHY


async def test_another_replica_may_know_more() -> None:
    """Not red before what others know up to the end of its time was read, nor for long without."""
    job = Job(shared=True)
    start = job.clock.now()
    job.records.known["backup"] = Record(since=start, succeeded=start)
    job.records.has_read(start)
    assert (await job.after(3905)).status is Status.HEALTHY
    assert (await job.after(10)).status is Status.UNHEALTHY
    job.clock.seconds -= 10
    job.records.has_read(job.clock.now())
    assert (await job.after()).status is Status.UNHEALTHY


@pytest.mark.looptime
async def test_what_is_not_read_yet() -> None:
    """A restart waits for the journal rather than call a job late, and says so where it does not come; people are told
    when that lasts, and not of a journal that is being made."""
    job = Job(shared=True)
    for after, expected in ((0, True), (50, True), (61, False)):
        result = await job.after(after)
        assert (result.status, result.message, result.expected) == (
            Status.DEGRADED,
            "earlier reports are unknown until the journal has been read",
            expected,
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "write either period"),
        ({**HOURLY, "cron": "0 3 * * *"}, "write either period"),
        ({"cron": "0 3 * *"}, "is not a cron line"),
        ({"cron": "0 3 * * 8"}, "write MON to SUN, or 0 to 7"),
        ({**HOURLY, "timezone": "Mars"}, "no time zone is called 'Mars'"),
        ({**HOURLY, "key": "short"}, "16 to 64 letters"),
        ({**HOURLY, "key": "0123456789abcdef/"}, "16 to 64 letters"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        HeartbeatConfig.model_validate(options)
