"""What a deploy tool is owed that hung up: told once there is a verdict, whatever happens meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd.journal.database import Database, JournalError
from healthd_gates.config.hooks import any_hook
from healthd_gates.domain import callback as stored
from healthd_gates.domain.errors import JournalUnavailable, UnknownGate
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import Version
from healthd_gates.engine.service import GateService
from healthd_gates.hooks import callback_steps
from healthd_gates.hooks.correspondents import CORRESPONDENTS
from healthd_gates.store.callbacks import CallbackStore
from tests.fakes.gates import Replica, Script, config, failing, healthy, later, replica, start_replica
from tests.fakes.gates import request as verify
from tests.unit.gates.hooks.tool import LOST, REFUSED, TAKEN, UNSURE, Tool, ToolConfig, owed, words

HOOKS = {"tool": {"kind": "tool"}}


@pytest.fixture(autouse=True)
def _tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(any_hook.KINDS, "tool", "tests.unit.gates.hooks.tool:ToolDialect")
    kinds: dict[Any, Any] = CORRESPONDENTS
    monkeypatch.setitem(kinds, ToolConfig, lambda config, _clock: Tool(config.wait_timeout, config.retry_for))
    monkeypatch.setattr(Tool, "act", lambda _word: TAKEN)
    monkeypatch.setattr(Tool, "excuses", lambda: None)
    monkeypatch.setattr(Tool, "reporting", lambda: asyncio.sleep(0))
    monkeypatch.setattr(Tool, "told", [])
    monkeypatch.setattr(Tool, "reports", [])


def staged(**changes: Any) -> Any:
    return config(hooks=HOOKS, **changes)


async def gates_of(running: Replica) -> tuple[Gate, ...]:
    return (await running.keeper.list()).gates


async def until_told(count: int = 1) -> None:
    async with asyncio.timeout(900.0):
        while len(Tool.told) < count:
            await asyncio.sleep(1.0)
    await asyncio.sleep(5.0)


@pytest.mark.parametrize(("act", "word"), [(healthy, "pass"), (failing, "fail")])
async def test_the_verdict_is_told_once_and_progress_before_it(file: Path, act: Any, word: str) -> None:
    """In words that its people understand."""
    Script.act = act
    async with replica(file, staged(http={"external_url": "https://healthd.test"})) as running:
        assert await running.gates.callback_worker.owe(owed())
        await until_told()
        (gate,) = await gates_of(running)
        assert words() == [word]
        link = f"[gate {gate.id}](https://healthd.test/gates/{gate.id}/page)"
        assert all(link in text for text in [*Tool.reports, Tool.told[0][1]])
        assert gate.decision is not None
        assert gate.decision.sentence in Tool.told[0][1]
        assert gate.caller == "hook:tool"
        assert Tool.reports
        assert all("api 2.0" in text and gate.id in text for text in Tool.reports)


async def test_asking_twice_is_asking_once(file: Path) -> None:
    """A tool that sends its event again gets no second gate and no second answer."""
    async with replica(file, staged()) as running:
        assert await running.gates.callback_worker.owe(owed())
        assert not await running.gates.callback_worker.owe(owed())
        await until_told()
        assert not await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(60.0)
        assert (words(), len(await gates_of(running))) == (["pass"], 1)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0, 45.0, 89.0, 91.0, 100.0])
async def test_a_crash_loses_nothing(file: Path, seconds: float) -> None:
    """Whenever it comes: before the gate began, while it ran, or at the verdict."""
    before = await start_replica(file, staged())
    await before.gates.callback_worker.owe(owed())
    await asyncio.sleep(seconds)
    await before.crash()
    async with replica(file, staged()) as running:
        await until_told()
        assert set(words()) == {"pass"}
        assert len(await gates_of(running)) == 1


async def test_a_crash_while_a_word_is_on_its_way_makes_no_other_of_it(file: Path) -> None:
    """The tool may have heard it: it hears the same again, although the gate has been rolled back since."""
    Tool.act = lambda _word: asyncio.Event().wait()
    before = await start_replica(file, staged(policy={"watch": "1h"}))
    await before.gates.callback_worker.owe(owed(baseline=Version(version="1.0")))
    await until_told()
    await before.crash()
    Tool.act = lambda _word: TAKEN
    async with replica(file, staged(policy={"watch": "1h"})) as running:
        (gate,) = await gates_of(running)
        await running.keeper.interventions.rollback(gate.id, caller="kim", reason="it looks odd")
        await until_told(2)
        assert words() == ["pass", "pass"]
        assert "As said before" in Tool.told[1][1]


async def test_a_tool_that_is_down_is_told_when_it_is_back(file: Path) -> None:
    """And no more often than it can bear."""
    Tool.act = lambda _word: LOST
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(500.0)
        assert 6 < len(Tool.told) < 14
        Tool.act = lambda _word: TAKEN
        tried = len(Tool.told)
        await until_told(tried + 1)
        assert words() == ["pass"] * (tried + 1)


@pytest.mark.parametrize(("first", "then"), [(LOST, "fail"), (UNSURE, "pass")])
async def test_a_late_regression_is_told_unless_the_tool_may_have_heard(file: Path, first: Any, then: str) -> None:
    """A pass that surely did not get through is no pass any more once the traffic went back."""
    Script.act = later(300.0, healthy, failing)
    Tool.act = lambda _word: first
    async with replica(file, staged(policy={"watch": "1h"})) as running:
        asked = owed(baseline=Version(version="1.0"))
        assert asked.request is not None
        back = asked.request.model_copy(update={"rollback": "auto"})
        await running.gates.callback_worker.owe(stored.PendingCallback(asked.key, asked.hook, asked.address, back))
        await until_told()
        assert words()[0] == "pass"
        await asyncio.sleep(300.0)
        (gate,) = await gates_of(running)
        assert gate.rollback is not None
        Tool.act = lambda _word: TAKEN
        await until_told(len(Tool.told) + 1)
        assert words()[-1] == then


async def test_a_gate_that_can_never_start_is_a_no(file: Path) -> None:
    """With the reason."""
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed(service="nothing"))
        await until_told()
        assert words() == ["fail"]
        assert "No service is called 'nothing'" in Tool.told[0][1]


async def test_a_gate_waits_for_its_turn(file: Path) -> None:
    """The tool is told once why, and judged when the service is free, for which it waits as long as a gate can take."""
    async with replica(file, config(hooks={"tool": {"kind": "tool", "wait_timeout": 900.0}})) as running:
        other = await running.keeper.start(verify(version="1.9"), caller="ci")
        await running.gates.callback_worker.owe(owed())
        await running.keeper.wait(other.id, 600.0)
        await until_told()
        assert words() == ["pass"]
        assert [text for text in Tool.reports if text.startswith("Waiting.")] == [
            text for text in Tool.reports if other.id in text
        ][:1]


async def test_what_holds_for_longer_than_its_patience_is_a_no_at_once(file: Path) -> None:
    """Nobody waits for the end of a weekend's freeze to be told no."""
    frozen = [{"from": "2026-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": "holidays"}]
    async with replica(file, staged(freeze=frozen)) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told()
        assert words() == ["fail"]
        assert "holidays" in Tool.told[0][1]
        assert not await gates_of(running)


async def test_what_is_excused_is_not_judged(file: Path) -> None:
    """A rollback of the tool's own must go through, however bad things look."""
    Tool.excuses = lambda: "It rolls back."
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told()
        assert Tool.told == [("pass", "It rolls back.")]
        assert not await gates_of(running)


async def test_a_tool_that_answers_slowly_is_told_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call has its own claim, so that nobody takes the callback over in the middle of a step."""
    start = GateService.start

    async def slow(service: GateService, *args: Any, **kwargs: Any) -> Gate:
        await asyncio.sleep(5.0)
        return await start(service, *args, **kwargs)

    monkeypatch.setattr(GateService, "start", slow)
    Tool.excuses = lambda: asyncio.sleep(9.0)
    Tool.reporting = lambda: asyncio.sleep(9.0)
    frozen = [{"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": "holidays"}]
    patient = config(hooks={"tool": {"kind": "tool", "wait_timeout": 1e10}}, freeze=frozen)
    async with replica(file, patient) as running, replica(file, patient):
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(120.0)
        assert len(Tool.reports) == 1


async def test_a_slow_journal_makes_no_second_answer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim counts from when the tool is told, not from when the callback was taken up."""
    get = GateService.get

    async def slow(service: GateService, gate_id: str) -> Gate:
        await asyncio.sleep(15.0)
        return await get(service, gate_id)

    async def late(_word: object) -> Any:
        await asyncio.sleep(9.0)
        return TAKEN

    Tool.act = late
    async with replica(file, staged()) as running:
        monkeypatch.setattr(GateService, "get", slow)
        await running.gates.callback_worker.owe(owed())
        await until_told()
        await asyncio.sleep(120.0)
        assert words() == ["pass"]


async def test_a_long_wait_for_the_tool_slows_nothing_down_after_it(file: Path) -> None:
    """The gate starts soon after the tool can say where its version is, and a verdict that was lost is told again
    soon."""
    start = asyncio.get_running_loop().time()
    told: list[float] = []

    def unknown() -> None:
        if asyncio.get_running_loop().time() < start + 1500.0:
            raise LookupError("no replacement task set yet")

    def lost(_word: object) -> Any:
        told.append(asyncio.get_running_loop().time())
        return LOST if len(told) == 1 else TAKEN

    Tool.excuses, Tool.act = unknown, lost
    async with replica(file, config(hooks={"tool": {"kind": "tool", "wait_timeout": 3600.0}})) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(1540.0)
        assert len(await gates_of(running)) == 1
        await until_told(2)
        assert told[1] - told[0] < 10.0


async def test_a_tool_that_never_says_where_its_version_is_is_told_no(file: Path) -> None:
    """When the gate has waited for as long as it may, with the reason; it hangs no longer than that."""

    def unknown() -> None:
        raise LookupError("no replacement task set yet")

    Tool.excuses = unknown
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(450.0)
        assert words() == ["fail"]
        assert "no replacement task set yet" in Tool.told[0][1]
        assert not await gates_of(running)


async def test_a_verdict_is_tried_for_its_whole_time_however_long_the_gate_took(file: Path) -> None:
    """The time counts from the verdict."""
    Tool.act = lambda _word: LOST
    short = config(
        hooks={"tool": {"kind": "tool", "retry_for": 60.0}}, policy={"observe": {"min": "10m", "max": "20m"}}
    )
    async with replica(file, short) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told(3)
        Tool.act = lambda _word: TAKEN
        tried = len(Tool.told)
        await until_told(tried + 1)
        assert words() == ["pass"] * (tried + 1)


def _lost_at_first() -> None:
    """Make the tool lose the first two answers of those that come from now on."""
    first = len(Tool.told)
    Tool.act = lambda _word: LOST if len(Tool.told) < first + 3 else TAKEN


async def test_an_answer_without_a_gate_is_tried_for_its_whole_time_too(file: Path) -> None:
    """However long the callback waited until the gate could start."""

    def unknown() -> None:
        raise LookupError("no replacement task set yet")

    impatient = config(hooks={"tool": {"kind": "tool", "wait_timeout": 400.0, "retry_for": 60.0}})
    Tool.excuses = unknown
    _lost_at_first()
    async with replica(file, impatient) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told(3)
        assert words() == ["fail"] * 3


async def test_an_excuse_that_comes_late_is_tried_for_its_whole_time(file: Path) -> None:
    start = asyncio.get_running_loop().time()

    def late() -> str:
        if asyncio.get_running_loop().time() < start + 300.0:
            raise LookupError("not known yet")
        return "It rolls back."

    impatient = config(hooks={"tool": {"kind": "tool", "wait_timeout": 400.0, "retry_for": 60.0}})
    Tool.excuses = late
    _lost_at_first()
    async with replica(file, impatient) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told(3)
        assert words() == ["pass"] * 3


async def test_a_gate_that_is_gone_is_a_no_that_is_tried_for_its_whole_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time counts from when that is found, and is kept over a restart."""

    async def gone(_service: GateService, gate_id: str) -> Gate:
        raise UnknownGate(gate_id=gate_id)

    long = config(hooks={"tool": {"kind": "tool", "retry_for": 60.0}}, policy={"observe": {"min": "1h", "max": "2h"}})
    before = await start_replica(file, long)
    await before.gates.callback_worker.owe(owed())
    await asyncio.sleep(300.0)
    monkeypatch.setattr(GateService, "get", gone)
    Tool.act = lambda _word: LOST
    await until_told()
    await before.crash()
    _lost_at_first()
    async with replica(file, long):
        told = len(Tool.told)
        await until_told(told + 3)
        assert set(words()) == {"fail"}


async def test_a_cancelled_gate_is_a_no(file: Path) -> None:
    """Only a pass promotes."""
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(12.0)
        (gate,) = await gates_of(running)
        await running.keeper.interventions.cancel(gate.id, caller="kim", reason="wrong version")
        await until_told()
        assert words() == ["fail"]


async def test_progress_is_told_a_few_times_at_most(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool takes ten reports, however long the gate runs and however often it is restarted."""
    monkeypatch.setattr(callback_steps, "_FIRST_REPORT", 1.0)
    long = staged(policy={"observe": {"min": "1h", "max": "2h"}, "interval": "60s"})
    running = await start_replica(file, long)
    await running.gates.callback_worker.owe(owed())
    for _ in range(4):
        await asyncio.sleep(60.0)
        await running.crash()
        running = await start_replica(file, long)
    await asyncio.sleep(120.0)
    assert 5 <= len(Tool.reports) <= 8
    await running.stop()


async def test_what_the_tool_refuses_is_given_up_until_it_asks_again(file: Path) -> None:
    """Then it is tried anew, with the same word."""
    Tool.act = lambda _word: REFUSED
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told()
        await asyncio.sleep(60.0)
        assert words() == ["pass"]
        Tool.act = lambda _word: TAKEN
        await running.gates.callback_worker.owe(owed())
        await until_told(2)
        assert words() == ["pass", "pass"]
        counted = running.registry.get_sample_value
        assert counted("healthd_hook_callbacks_total", {"hook": "tool", "state": "given_up"}) == 1
        assert counted("healthd_hook_callbacks_total", {"hook": "tool", "state": "done"}) == 1


async def test_a_tool_that_never_comes_back_is_given_up(file: Path) -> None:
    """At the end of the time that the configuration gives it."""
    Tool.act = lambda _word: LOST
    short = config(hooks={"tool": {"kind": "tool", "retry_for": 200.0}})
    async with replica(file, short) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(310.0)
        tried = len(Tool.told)
        await asyncio.sleep(300.0)
        assert len(Tool.told) == tried


async def test_what_is_asked_for_again_has_its_whole_time_again(file: Path) -> None:
    """Its answer was known, and given up, long before."""
    Tool.act = lambda _word: REFUSED
    async with replica(file, config(hooks={"tool": {"kind": "tool", "retry_for": 60.0}})) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told()
        await asyncio.sleep(600.0)
        _lost_at_first()
        await running.gates.callback_worker.owe(owed())
        await until_told(4)
        assert words() == ["pass"] * 4


async def test_a_hook_that_is_taken_out_and_put_back_still_gets_its_answer(file: Path) -> None:
    """A mistake in a reload costs nothing."""
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(10.0)
        running.configure(config())
        await asyncio.sleep(1200.0)
        assert not Tool.told
        running.configure(staged())
        await asyncio.sleep(40.0)
        assert words() == ["pass"]


async def test_a_hook_that_was_put_back_while_the_gate_runs_tells_its_verdict_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next report may be an hour away."""
    monkeypatch.setattr(callback_steps, "_FIRST_REPORT", 60.0)
    long = {"policy": {"observe": {"min": "10m", "max": "20m"}}}
    async with replica(file, staged(**long)) as running:
        await running.gates.callback_worker.owe(owed())
        await asyncio.sleep(10.0)
        running.configure(config(**long))
        await asyncio.sleep(120.0)
        running.configure(staged(**long))
        await asyncio.sleep(540.0)
        assert words() == ["pass"]


async def test_where_no_hook_is_called_back_the_journal_is_hardly_asked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that a reload brings is looked for at once."""
    asked = 0
    backlog = CallbackStore.backlog

    async def counted(store: CallbackStore) -> Any:
        nonlocal asked
        asked += 1
        return await backlog(store)

    monkeypatch.setattr(CallbackStore, "backlog", counted)
    async with replica(file, config()) as running:
        await asyncio.sleep(600.0)
        assert asked <= 12
        running.configure(staged())
        before = asked
        await asyncio.sleep(1.0)
        assert asked > before


async def test_a_fault_of_the_dialect_loses_no_verdict(file: Path) -> None:
    """It counts as a try that failed."""
    faults = iter([RuntimeError("a bug")])

    def act(_word: object) -> Any:
        for fault in faults:
            raise fault
        return TAKEN

    Tool.act = act
    async with replica(file, staged()) as running:
        await running.gates.callback_worker.owe(owed())
        await until_told(2)
        assert words() == ["pass", "pass"]


async def test_what_cannot_be_stored_is_not_acknowledged(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool hears so within its ten seconds, rather than wait for an answer that nobody knows of."""
    async with replica(file, staged()) as running:

        def down(*_: object) -> None:
            raise JournalError("disk full")

        monkeypatch.setattr(Database, "write", down)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(JournalUnavailable, match="disk full"):
            await running.gates.callback_worker.owe(owed())
        assert asyncio.get_running_loop().time() - begun < 9.0
        monkeypatch.undo()


@pytest.mark.parametrize(("missing", "told"), [(60.0, ["pass"]), (200.0, [])])
@pytest.mark.parametrize("before", [0.0, 40.0, 150.0], ids=["its start", "its verdict", "its answer"])
async def test_without_its_hook_an_answer_waits_for_a_time(
    file: Path, monkeypatch: pytest.MonkeyPatch, before: float, missing: float, told: list[str]
) -> None:
    """Whatever it waits for then: a mistake in a reload costs nothing; what is out for good ends, and is told once."""
    monkeypatch.setattr(callback_steps, "_LOOKS_FOR_HOOK", 5)
    monkeypatch.setattr(callback_steps, "_LONGEST_PAUSE", 30.0)  # a look falls into the minute without its hook
    Tool.act = lambda _: LOST
    with capture_logs() as logged:
        async with replica(file, staged()) as running:
            if before == 0.0:
                running.configure(config())
            await running.gates.callback_worker.owe(owed())
            await asyncio.sleep(before)
            said = len(words())
            running.configure(config())
            await asyncio.sleep(missing)
            Tool.act = lambda _: TAKEN
            looked = logged[:]
            running.configure(staged())
            await asyncio.sleep(150.0)
            assert words()[said:] == told
    events = [entry["event"] for entry in looked if "its hook" in entry["event"]]
    waits, given_up = "callback waits for its hook, which is not", "callback given up, its hook is not"
    ends = [] if told else [f"{given_up} configured any more"]
    assert events == [f"{waits} configured any more", *ends]
