"""All checks of a configuration, and what a reload does to them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from healthd import checks
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.config.settings import Settings
from healthd.model import FailureKind, Result, Status
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from tests.fakes.monitoring import DOWN, UP, Act, Scripted, Stage, forever

BORN: list["Played"] = []
MENDED: list[bool] = []
"""Not empty where what was broken no longer is."""


class PlayedConfig(CheckConfig):
    act: str = "up"


class Played(Scripted):
    """A kind of check for these tests: what it does is in its configuration."""

    config_model = PlayedConfig

    def __init__(self, config: PlayedConfig, context: CheckContext) -> None:
        if config.act == "broken" and not MENDED:
            raise ValueError("bad URI for app:hunter22")
        acts: dict[str, list[Act]] = {
            "up": [UP],
            "down": [DOWN],
            "turns": [DOWN, UP],
            "broken": [UP],
            "hangs": [forever],
        }
        super().__init__(*acts[config.act])
        BORN.append(self)


@pytest.fixture(autouse=True)
def _kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks.KINDS, "played", f"{__name__}:Played")
    BORN.clear()
    MENDED.clear()


def settings(**kinds: dict[str, Any]) -> Settings:
    named = {name: {"kind": "played", "interval": "10s", "timeout": "1s", **check} for name, check in kinds.items()}
    return Settings.model_validate({"checks": named})


class Running(Stage):
    """A suite whose schedule is not started: tests run the checks themselves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.schedule = Schedule(lambda *_: None)
        self.suite = Suite(
            board=self.board,
            schedule=self.schedule,
            clock=self.clock,
            redact=self.redact,
            listener=self.listener,
            environ={},
        )


async def test_unchanged_checks_go_on_undisturbed() -> None:
    """A reload builds nothing anew, closes nothing and forgets nothing where nothing changed."""
    running = Running()
    await running.suite.arrange(settings(a={}, b={}))
    await running.suite.probe("a")
    kept = running.suite._monitors["a"].check
    await running.suite.arrange(settings(a={}, b={"fall": 1}, c={}))
    assert running.suite._monitors["a"].check is kept
    assert running.board.check("a").status is Status.HEALTHY
    assert [played.closes for played in BORN] == [0, 1, 0, 0]


async def test_a_reload_in_mid_probe() -> None:
    """The probe of a changed check is given up, its joiners are told, and its result never shows."""
    running = Running()
    await running.suite.arrange(settings(a={"act": "hangs"}))
    probing = asyncio.create_task(running.suite.probe("a"))
    await asyncio.sleep(0)
    await running.suite.arrange(settings(a={"act": "up"}))
    with pytest.raises(LookupError, match="removed or changed"):
        await probing
    assert running.board.check("a").probe is None
    await running.suite.probe("a")
    assert running.board.check("a").status is Status.HEALTHY


async def test_a_failure_outlives_a_change_of_its_times() -> None:
    """Its check looks at the same: neither a first success ends it nor a first failure begins one, and a failure that
    goes on is no news."""
    running = Running()
    await running.suite.arrange(settings(a={"act": "down"}))
    await running.suite.probe("a")
    since, told = running.board.check("a").since, len(running.transitions)
    await running.suite.arrange(settings(a={"act": "down", "timeout": "2s"}))
    assert running.board.check("a").status is Status.UNHEALTHY
    await running.suite.probe("a")
    assert (running.board.check("a").since, len(running.transitions)) == (since, told)
    running.suite._monitors["a"].check.acts = [UP]  # type: ignore[attr-defined]
    await running.suite.probe("a")
    assert running.board.check("a").status is Status.UNHEALTHY


async def test_successes_are_counted_on_over_a_change_of_times() -> None:
    """With `rise: 2`, one before a reload and one after it."""
    running = Running()
    await running.suite.arrange(settings(a={"act": "turns"}))
    for _ in range(2):
        await running.suite.probe("a")
    assert running.board.check("a").streak is not None
    await running.suite.arrange(settings(a={"act": "turns", "timeout": "2s"}))
    running.suite._monitors["a"].check.acts = [UP]  # type: ignore[attr-defined]
    await running.suite.probe("a")
    assert running.board.check("a").status is Status.HEALTHY


async def test_the_first_result_of_another_look_counts() -> None:
    """An address that was mended, or one that leads nowhere, shows at once; the change is from what stood there."""
    running = Running()
    await running.suite.arrange(settings(a={"act": "down"}))
    await running.suite.probe("a")
    await running.suite.arrange(settings(a={"act": "up"}))
    await running.suite.probe("a")
    assert running.board.check("a").status is Status.HEALTHY
    assert [(it.old, it.new) for it in running.transitions][-1] == (Status.UNHEALTHY, Status.HEALTHY)


async def test_removed_checks_are_closed_and_gone() -> None:
    """Nothing of them is probed or shown any more."""
    running = Running()
    await running.suite.arrange(settings(a={}, b={}))
    await running.suite.arrange(settings(a={}))
    assert [s.name for s in running.board.checks()] == ["a"]
    assert [played.closes for played in BORN] == [0, 1]
    with pytest.raises(KeyError):
        await running.suite.probe("b")


async def test_a_check_that_cannot_be_built_is_red_by_itself() -> None:
    """The others run, and what was wrong is told without secrets."""
    running = Running()
    running.redact.learn(["hunter22"])
    await running.suite.arrange(settings(a={"act": "broken"}, b={}))
    found = (await running.suite.probe("a")).result
    assert found.kind is FailureKind.MISCONFIGURED
    assert found.message == "cannot be built: ValueError: bad URI for app:***"
    assert (await running.suite.probe("b")).result == UP


async def test_a_check_that_could_not_be_built_is_built_by_a_reload() -> None:
    """Though nothing of it changed in the file, such as where a package was installed since."""
    running, configured = Running(), settings(a={"act": "broken"})
    await running.suite.arrange(configured)
    assert (await running.suite.probe("a")).result.kind is FailureKind.MISCONFIGURED
    MENDED.append(True)
    await running.suite.arrange(configured)
    assert (await running.suite.probe("a")).result == UP


async def test_unset_variables_are_named() -> None:
    """A check with an unset variable is there and red."""
    running = Running()
    await running.suite.arrange(settings(a={"__missing__": ["DB_URI"]}))
    assert (await running.suite.probe("a")).result.message == "not set: DB_URI"


@pytest.mark.looptime
async def test_overdue_is_told_once() -> None:
    """The transition to unknown is announced when it happens, once, and again after a recovery."""
    running = Running()
    await running.suite.arrange(settings(a={}, b={}))
    await running.suite.probe("a")
    for _ in range(3):
        await asyncio.sleep(20)
        running.suite.sweep()
    assert [(t.check, t.new, t.probe is None) for t in running.transitions] == [
        ("a", Status.HEALTHY, False),
        ("a", Status.UNKNOWN, True),
    ]
    await running.suite.probe("a")
    await asyncio.sleep(40)
    running.suite.sweep()
    assert [t.new for t in running.transitions[2:]] == [Status.HEALTHY, Status.UNKNOWN]


async def test_a_tick_of_the_past_does_not_move_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that ends as a reload replaces its check leaves the new one's schedule alone."""
    running = Running()
    moved: list[str] = []
    monkeypatch.setattr(running.schedule, "next_in", lambda _seconds, name: moved.append(name))
    await running.suite.arrange(settings(a={}))
    busy = Result.degraded(FailureKind.RATE_LIMITED, "slow down", retry_after=600.0)
    BORN[0].acts = [busy]
    old = running.suite._monitors["a"]
    ticking = running.suite._tick(old)
    assert ticking is not None
    while running.board.check("a").probe is None:
        await asyncio.sleep(0)
    await running.suite.arrange(settings(a={"fall": 1}))
    await ticking
    assert moved == []


async def test_close_ends_everything() -> None:
    """Every check gets to drop its connections."""
    running = Running()
    await running.suite.arrange(settings(a={}, b={"act": "hangs"}))
    probing = asyncio.create_task(running.suite.probe("b"))
    await asyncio.sleep(0)
    await running.suite.close()
    assert all(played.closes for played in BORN)
    with pytest.raises(LookupError):
        await probing


@pytest.mark.looptime
async def test_the_schedule_outlives_a_closed_suite_in_silence() -> None:
    """Nothing is begun any more once the suite is closed, though runs were due: no probe and no error."""
    running, faults = Running(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
    often = {"interval": "1s", "timeout": "500ms"}
    await running.suite.arrange(settings(a=often, b={"act": "hangs", **often}))
    scheduling = asyncio.create_task(running.schedule.run())
    await asyncio.sleep(0.3)
    assert [played.probes for played in BORN] == [1, 1]
    await running.suite.close()
    await asyncio.sleep(2)
    scheduling.cancel()
    assert faults == []
    assert [played.probes for played in BORN] == [1, 1]


async def test_a_reload_that_the_end_overtakes_leaves_nothing_open() -> None:
    """Of many checks some are not built yet as the suite is closed: those are never built, the others are closed."""
    running = Running()
    many = settings(**{f"check{number}": {} for number in range(50)})
    arranging = asyncio.create_task(running.suite.arrange(many))
    await asyncio.sleep(0)
    await running.suite.close()
    await arranging
    assert 0 < len(BORN) < 50
    assert all(played.closes for played in BORN)
    await running.suite.arrange(many)
    assert len(BORN) < 50


class Moved(Schedule):
    """A schedule that notes to when runs are moved."""

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.moves: list[tuple[float, str]] = []

    def next_in(self, seconds: float, name: str, *, jitter: float = 0.1) -> None:
        self.moves.append((round(seconds, 1), name))


@pytest.mark.looptime
async def test_a_result_that_changes_by_itself_is_looked_at_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a report as well as on schedule: a run's limit shows when it passes, not up to an interval later."""
    running = Running()
    running.schedule = running.suite._schedule = moved = Moved()
    await running.suite.arrange(settings(a={}))
    check = running.suite._monitors["a"].check
    monkeypatch.setattr(check, "acts", [replace(UP, changes_in=4.0), replace(UP, changes_in=60.0)])
    await running.suite.probe("a")
    assert moved.moves == [(4.0, "a")]
    await running.suite.probe("a")
    assert moved.moves == [(4.0, "a")]


async def test_a_fault_of_what_spreads_checks_leaves_no_check_unrun() -> None:
    """The check is run here."""

    def broken(_name: str) -> float | None:
        raise RuntimeError("a bug")

    running = Running()
    running.suite.elsewhere = broken
    await running.suite.arrange(settings(a={}))
    flight = running.suite._tick(running.suite._monitors["a"])
    assert flight is not None
    await flight
    assert running.board.check("a").status is Status.HEALTHY


async def test_checks_are_looked_at_before_they_are_due() -> None:
    """One after the other, and none that is gone."""
    running = Running()
    running.schedule = running.suite._schedule = moved = Moved()
    await running.suite.arrange(settings(a={}, b={}))
    running.suite.look_again(["b", "a", "gone"])
    assert moved.moves == [(0.0, "b"), (0.0, "a"), (0.0, "gone")]
