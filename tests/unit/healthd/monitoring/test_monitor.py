"""One check's life, from probe to board."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from healthd.model import FailureKind, Result, Status
from healthd.monitoring.monitor import CLOSING, LONGEST_MESSAGE, LONGEST_QUIET, RetiredError
from healthd.runtime.deadline import GRACE
from healthd.runtime.lookups import waiting_for
from healthd.runtime.redaction import Redactor
from tests.fakes.monitoring import DOWN, UP, Act, Scripted, Stage, forever, stubborn

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def after(seconds: float, result: Result = UP) -> Result:
    return await asyncio.sleep(seconds, result)


async def test_a_probe_reaches_the_board_and_the_listener() -> None:
    """What was found is shown, timed, and told."""
    stage = Stage()
    probe = await stage.monitor(Scripted(lambda: after(0.5))).run()
    state = stage.board.check("db")
    assert state.status is Status.HEALTHY
    assert state.probe is probe
    assert probe.duration == pytest.approx(0.5)
    assert stage.probes == [("db", probe)]
    assert [(t.old, t.new) for t in stage.transitions] == [(Status.UNKNOWN, Status.HEALTHY)]


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (ConnectionRefusedError("no"), FailureKind.CONNECT),
        (TimeoutError(), FailureKind.TIMEOUT),
        (ZeroDivisionError("bug"), FailureKind.INTERNAL),
        (EOFError("cut off"), FailureKind.CONNECT),
        (ExceptionGroup("many", [OSError(24, "too many open files")]), FailureKind.EXHAUSTED),
    ],
)
async def test_whatever_a_driver_raises_is_a_failed_probe(act: Exception, kind: FailureKind) -> None:
    """An exception never leaves the monitor: it becomes a result with a kind."""
    probe = await Stage().monitor(Scripted(act)).run()
    assert (probe.result.status, probe.result.kind) == (Status.UNHEALTHY, kind)


async def test_a_driver_that_cancels_itself_is_a_failed_probe() -> None:
    """Else the check would silently never be shown again."""

    async def cancels() -> Result:
        raise asyncio.CancelledError

    probe = await Stage().monitor(Scripted(cancels)).run()
    assert probe.result.kind is FailureKind.INTERNAL


async def test_a_probe_that_returns_no_result_is_a_failed_probe() -> None:
    """Somebody's own check with a missing `return` is red, and says so."""

    async def nothing() -> Any:
        return None

    probe = await Stage().monitor(Scripted(nothing)).run()
    assert probe.result.kind is FailureKind.INTERNAL
    assert "returned NoneType, not a Result" in probe.result.message


async def test_a_silent_peer_costs_the_timeout_and_no_more() -> None:
    """The result is there at the deadline; only then are connections dropped."""
    stage, check = Stage(), Scripted(forever)
    probe = await stage.monitor(check, timeout=2.0).run()
    assert probe.duration == pytest.approx(2.0)
    assert probe.result.kind is FailureKind.TIMEOUT
    assert check.closes == 1


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (Result.healthy("fine"), "fine"),
        (Result.degraded(FailureKind.THRESHOLD, "took 6 s"), "took 6 s; the name db was only resolved after 5 s"),
        (Result.unhealthy(FailureKind.TIMEOUT, "no answer"), "no answer; the name db was only resolved after 5 s"),
        (Result.unhealthy(FailureKind.AUTH, "wrong password"), "wrong password"),
    ],
    ids=["healthy", "slow", "late", "refused"],
)
async def test_what_takes_too_long_tells_of_a_slow_lookup(result: Result, said: str) -> None:
    """The time until a lost answer of a name server is asked for again is not the peer's."""

    async def connect() -> Result:
        with waiting_for("db"):
            await asyncio.sleep(5)
        return result

    assert (await Stage().monitor(Scripted(connect), timeout=9.0).run()).result == replace(result, message=said)


@pytest.mark.parametrize("act", [forever, stubborn])
async def test_a_probe_overruns_its_deadline_by_less_than_a_quarter_second(act: Act) -> None:
    """Even when the driver swallows its cancellation and its close hangs too."""

    class Sticky(Scripted):
        async def close(self) -> None:
            await stubborn()

    stage = Stage()
    monitor = stage.monitor(Sticky(act), timeout=2.0)
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(2.0 + GRACE + 0.01)
    assert stage.probes[0][1].duration <= 2.25
    await running
    assert now() <= 2.0 + 2 * GRACE + CLOSING + 0.01


async def test_an_abandoned_probe_is_not_piled_upon() -> None:
    """While a probe that ignored its deadline still runs, no other is started, and the check stays red."""
    stage, check = Stage(), Scripted(stubborn, UP)
    monitor = stage.monitor(check, timeout=1.0)
    for _ in range(5):
        await monitor.run()
        await asyncio.sleep(5)
    assert check.probes == 1
    assert stage.probes[-1][1].result.kind is FailureKind.TIMEOUT
    assert "still has not returned" in stage.probes[-1][1].result.message
    await asyncio.sleep(60)
    assert (await monitor.run()).result.status is Status.HEALTHY


async def test_single_flight() -> None:
    """Whoever asks while a probe is under way gets that probe."""
    check = Scripted(lambda: after(1.0))
    monitor = Stage().monitor(check)
    probes = await asyncio.gather(*(monitor.run() for _ in range(10)))
    assert check.probes == 1
    assert len(set(map(id, probes))) == 1


async def test_the_first_caller_may_leave() -> None:
    """A caller who goes away (a closed connection) cancels nothing for the others."""
    check = Scripted(lambda: after(1.0))
    monitor = Stage().monitor(check)
    first, second = asyncio.create_task(monitor.run()), asyncio.create_task(monitor.run())
    await asyncio.sleep(0.5)
    first.cancel()
    assert (await second).result == UP
    assert first.cancelled()
    assert check.probes == 1


async def test_retry_after_is_honoured() -> None:
    """A dependency that asked to be left alone is: by the schedule, by rechecks, and by people who press a button."""
    busy = replace(DOWN, retry_after=30.0)
    stage, check = Stage(), Scripted(busy, UP)
    monitor = stage.monitor(check, interval=15.0)
    first = await monitor.run()
    assert monitor.pause == pytest.approx(30.0)
    await asyncio.sleep(29)
    assert await monitor.run() is first
    assert check.probes == 1
    await asyncio.sleep(1)
    assert (await monitor.run()).result == UP
    assert monitor.pause == 15.0


@pytest.mark.parametrize(("asked", "pause"), [(86_400.0, LONGEST_QUIET), (-5.0, 15.0), (float("nan"), 15.0)])
async def test_retry_after_has_bounds(asked: float, pause: float) -> None:
    """A day of silence would be a day of not knowing."""
    monitor = Stage().monitor(Scripted(replace(DOWN, retry_after=asked)), interval=15.0)
    await monitor.run()
    assert monitor.pause == pytest.approx(pause)


async def test_quiet_time_does_not_make_it_overdue() -> None:
    """A check that waits because it was told to is not one whose probes fail to run."""
    stage = Stage()
    await stage.monitor(Scripted(replace(DOWN, retry_after=600.0)), interval=15.0, timeout=2.0).run()
    await asyncio.sleep(600)
    assert stage.board.check("db").status is Status.UNHEALTHY
    await asyncio.sleep(47)
    assert stage.board.check("db").status is Status.UNKNOWN


async def test_faster_rechecks_while_settling() -> None:
    """Between two statuses it looks more often."""
    monitor = Stage().monitor(Scripted(UP, DOWN), interval=15.0, fall=3, fast_interval=2.0)
    await monitor.run()
    assert monitor.pause == 15.0
    await monitor.run()
    assert monitor.pause == 2.0


async def test_secrets_and_unprintable_values_stop_here() -> None:
    """Neither a message nor an observed value carries a secret or breaks the JSON of every endpoint."""
    stage = Stage(redact=Redactor(["hunter22"]))
    observed = {"banner": "hello hunter22", "ratio": float("nan"), "names": ["hunter22"], "odd": cast(Any, {1: b"x"})}
    found = Result.unhealthy(FailureKind.AUTH, "login as app:hunter22 refused", observed=observed)
    probe = await stage.monitor(Scripted(found)).run()
    assert probe.result.message == "login as app:*** refused"
    assert probe.result.observed == {"banner": "hello ***", "ratio": None, "names": ["***"], "odd": {"1": "b'x'"}}


async def test_messages_are_cut_after_they_are_redacted() -> None:
    """A page of HTML does not fill the log, and a secret on the edge is not cut out of recognition."""
    stage = Stage(redact=Redactor(["hunter22"]))
    text = "x" * (LONGEST_MESSAGE - 4) + "hunter22" + "y" * 10_000
    probe = await stage.monitor(Scripted(Result.unhealthy(FailureKind.AUTH, text))).run()
    assert len(probe.result.message) == LONGEST_MESSAGE + 1
    assert "hunt" not in probe.result.message


async def test_an_overdue_check_starts_again() -> None:
    """After not having been probed for long, the first result counts at once, whatever was before."""
    stage = Stage()
    monitor = stage.monitor(Scripted(UP, DOWN), interval=10.0, timeout=2.0, fall=3)
    await monitor.run()
    await asyncio.sleep(33)
    await monitor.run()
    assert stage.board.check("db").status is Status.UNHEALTHY
    assert [(t.old, t.new) for t in stage.transitions][1:] == [(Status.UNKNOWN, Status.UNHEALTHY)]


async def test_a_retired_monitor_shows_nothing_more() -> None:
    """A probe that was in flight when its check was changed must not speak for the new one."""
    stage = Stage()
    monitor = stage.monitor(Scripted(lambda: after(1.0)))
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(0.5)
    monitor.retire()
    with pytest.raises(RetiredError):
        await running
    with pytest.raises(RetiredError):
        await monitor.run()
    assert stage.board.check("db").probe is None
    assert stage.probes == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_probe_that_ends_as_its_check_is_retired(turns: int) -> None:
    """Whichever comes first in the loop: a result that is told is shown, and after `retire` nothing is."""
    stage, released = Stage(), asyncio.Event()

    async def when_released() -> Result:
        await released.wait()
        return UP

    monitor = stage.monitor(Scripted(when_released))
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(0.1)
    released.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    shown = stage.board.check("db").probe
    monitor.retire()
    await asyncio.wait({running})
    assert stage.board.check("db").probe is shown
    assert len(stage.probes) == (shown is not None)


async def test_close_does_not_hang() -> None:
    """Neither a probe that ignores its cancellation nor a close that never ends holds up the end of the daemon."""

    class Sticky(Scripted):
        async def close(self) -> None:
            await stubborn()

    monitor = Stage().monitor(Sticky(stubborn), timeout=10.0)
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(1)
    await monitor.close()
    assert now() <= 1 + CLOSING + GRACE + 0.01
    with pytest.raises(RetiredError):
        await running


async def test_memory_stays_flat() -> None:
    """A thousand probes leave nothing behind but the last."""
    monitor = Stage().monitor(Scripted(UP, DOWN, forever, UP), timeout=1.0)
    for _ in range(100):
        await monitor.run()
    before = len(asyncio.all_tasks())
    for _ in range(1000):
        await monitor.run()
    assert len(asyncio.all_tasks()) == before
