"""What was done is undone, in reverse order, whatever goes wrong."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from healthd_deploy.core.exit import CouldNotAsk, GateInconclusive, NoAnswer, StepFailed
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.report import Report
from healthd_deploy.core.steps import Steps, wait_until


class FreeLock:
    """A lock that nobody else wants."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        yield


class Interrupted(FreeLock):
    """A lock that is given back while the tool gets SIGTERM."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        yield
        await terminated()


class Lenient:
    """A referee that only lends its lock, and its own follower and teller."""

    def __init__(self) -> None:
        self.report, self.abandoned, self.lock = Report("1.1"), 0, FreeLock()
        self.undoing = self.followed = self
        self.stays_in_place = False

    async def abandon(self) -> bool:
        self.abandoned += 1
        return True

    async def still_stands(self) -> None: ...

    async def tell_end(self, **_more: bool) -> None: ...


class World:
    """What was done and undone, in order; acts named in `broken` fail."""

    def __init__(self, *broken: str) -> None:
        self.log: list[str] = []
        self._broken = broken

    def act(self, name: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            self.log.append(name)
            if name in self._broken:
                raise StepFailed(f"{name} broke")

        return act

    async def do(self, steps: Steps, name: str) -> None:
        await steps.do(name, self.act(name), undo=(f"undo {name}", self.act(f"undo {name}")))


async def ended(work: Callable[[], Awaitable[None]], steps: Steps, referee: Lenient | None = None) -> tuple[int, str]:
    """The exit code, and why."""
    referee = referee or Lenient()
    code = await carried_out(work, cast("Any", referee), steps)
    return code, referee.report.reason


async def test_a_failed_step_undoes_all_before_it_and_itself() -> None:
    """A step that failed halfway may have done something: it is undone too, and first."""
    world, steps = World("c"), Steps(quiet=True)

    async def work() -> None:
        for name in ("a", "b", "c"):
            await world.do(steps, name)

    assert await ended(work, steps) == (1, "c broke")
    assert world.log == ["a", "b", "c", "undo c", "undo b", "undo a"]


async def test_one_undo_that_fails_keeps_no_other_from_being_tried() -> None:
    """A person is told by an exit code of its own."""
    world, steps = World("b", "undo b"), Steps(quiet=True)

    async def work() -> None:
        await world.do(steps, "a")
        await world.do(steps, "b")

    assert (await ended(work, steps, referee := Lenient()))[0] == 4
    assert world.log == ["a", "b", "undo b", "undo a"]
    told = "undo b: undo b broke"
    assert referee.report.sentence(4) == f"1.1: not undone: b broke; could not be undone: {told}"
    assert referee.report.document(4)["left"] == [told]


@pytest.mark.parametrize(("patience", "code"), [(60.0, 1), (0.0, 4)])
async def test_an_undo_waits_for_a_platform_that_does_not_answer(
    patience: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Healthd or a person may be as cut off as this tool is: it goes on as long as it is told to."""
    monkeypatch.setattr("healthd_deploy.core.steps._FIRST_PAUSE", 0.001)
    world, steps, away = World(), Steps(quiet=True, undo_within=patience), ["down", "down"]

    async def back() -> None:
        if away:
            raise NoAnswer(away.pop())
        world.log.append("back")

    async def work() -> None:
        await steps.do("switch", world.act("switch"), undo=("back", back))
        raise StepFailed("the gate said no")

    assert (await ended(work, steps))[0] == code
    assert world.log == (["switch", "back"] if patience else ["switch"])


async def test_a_look_that_fails_is_no_answer() -> None:
    """Neither yes nor no: the next one may be; and where none came in time, that is what is said."""
    answers: list[bool | Exception] = [NoAnswer("TLS handshake timeout"), False, NoAnswer("refused"), True]

    async def look() -> bool:
        answer = answers.pop(0) if answers else NoAnswer("refused")
        if isinstance(answer, Exception):
            raise answer
        return answer

    await wait_until(look, within=5, every=0.001, what="it is up")
    with pytest.raises(StepFailed, match=r"it is up: not within 0.05 s; the last look failed: refused"):
        await wait_until(look, within=0.05, every=0.001, what="it is up")


@pytest.mark.parametrize(
    ("error", "code"),
    [(GateInconclusive("who knows"), 2), (CouldNotAsk("nobody there"), 3), (ZeroDivisionError("a bug"), 1)],
    ids=["inconclusive", "could not ask", "a bug"],
)
async def test_how_it_ended(error: Exception, code: int) -> None:
    """Whatever stops it, a bug of its own included, what was done is undone and the gate abandoned."""
    world, steps, referee = World(), Steps(quiet=True), Lenient()

    async def work() -> None:
        await world.do(steps, "a")
        raise error

    found, reason = await ended(work, steps, referee)
    assert (found, str(error) in reason) == (code, True)
    assert (world.log, referee.abandoned) == (["a", "undo a"], 1)


async def test_promoted_stays() -> None:
    """What has passed is not undone by what comes after it."""
    world, steps, referee = World("retire"), Steps(quiet=True), Lenient()

    async def work() -> None:
        await world.do(steps, "switch")
        steps.settled()
        await steps.afterwards("retire", world.act("retire"), wait=0.0)

    assert await ended(work, steps, referee) == (0, "")
    assert (world.log, referee.abandoned) == (["switch", "retire"], 0)


async def test_an_interruption_undoes_and_a_second_one_does_not_interrupt_that() -> None:
    """The first signal stops the work; further ones change nothing."""
    world, steps = World(), Steps(quiet=True)

    async def undo() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.05)
        world.log.append("undone")

    async def work() -> None:
        await steps.do("switch", world.act("switch"), undo=("undo", undo))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(3600)

    assert (await ended(work, steps))[0] == 130
    assert world.log == ["switch", "undone"]


async def test_an_interruption_while_the_lock_is_awaited() -> None:
    """Nothing is begun."""
    world, steps, referee = World(), Steps(quiet=True), Lenient()

    @asynccontextmanager
    async def busy() -> AsyncIterator[None]:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(3600)
        yield

    referee.lock.held = busy  # type: ignore[method-assign]
    assert (await ended(world.act("a"), steps, referee))[0] == 130
    assert world.log == []


async def test_a_dry_run_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Looks are taken; what would be done is told; nothing is there to undo."""
    world, steps = World(), Steps(dry_run=True)

    async def where() -> str:
        return "blue"

    async def work() -> None:
        assert await steps.look("who has the traffic", where) == "blue"
        await world.do(steps, "switch")

    assert await ended(work, steps) == (0, "")
    assert world.log == []
    said = capsys.readouterr().err
    assert "who has the traffic: blue" in said
    assert "would switch" in said


async def test_waiting_ends() -> None:
    """What never comes about is a failed step that names it."""

    async def never() -> Any:
        return False

    with pytest.raises(StepFailed, match="the targets are healthy: not within"):
        await wait_until(never, within=0.05, every=0.01, what="the targets are healthy")


async def terminated() -> None:
    """Return once this process has had a SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_signal_is_told_that_something_is_undone_only_where_it_is(
    capsys: pytest.CaptureFixture[str], *, fails: bool
) -> None:
    """A promoted version stays, also while the lock is given back."""
    referee, steps, said = Lenient(), Steps(), "what was done is being undone: let it end"
    if not fails:
        referee.lock = Interrupted()

    async def work() -> None:
        await steps.do("a", World().act("a"), undo=("undo a", terminated))
        if fails:
            raise StepFailed("the gate said no")

    assert (await ended(work, steps, referee))[0] == int(fails)
    err = capsys.readouterr().err
    assert (said in err, "the deploy is ending: let it end" in err) == (fails, not fails)
