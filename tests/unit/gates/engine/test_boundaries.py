"""A source and a criterion may raise and hang as they like: the evidence has a gap, and no more."""

import asyncio
from typing import Any, ClassVar, cast

import pytest

from healthd.runtime.lookups import waiting_for
from healthd_gates.criteria.contract import CriterionContext, ObservedCriterion
from healthd_gates.domain.evidence import Observation
from healthd_gates.engine.observer import Question, Traffic
from healthd_gates.sources.contract import Arm, Arms, SourceContext
from tests.fakes.gates import Scripted, ScriptedConfig
from tests.fakes.monitoring import LoopClock


class Asked:
    """A criterion that does what a test says."""

    name, longest = "ready", 3.0
    answer: ClassVar[Any] = None

    async def observe(self, _context: CriterionContext) -> Any:
        return await Asked.answer()


async def asks(answer: Any) -> Observation:
    Asked.answer = staticmethod(answer)
    return await Question(cast("ObservedCriterion", Asked()), cast("CriterionContext", None), str).ask()


async def test_a_question_that_hangs_is_unknown() -> None:
    assert await asks(asyncio.Event().wait) == Observation("ready", None, "it gave no answer within 5 s")


async def test_a_question_that_waits_for_a_name_says_which() -> None:
    async def look_up() -> None:
        with waiting_for("smoke.example"):
            await asyncio.Event().wait()

    said = "the name smoke.example was not resolved within 5 s"
    assert await asks(look_up) == Observation("ready", None, said)


async def test_a_question_with_a_bug_is_unknown() -> None:
    async def bug() -> None:
        raise ZeroDivisionError("secret")

    assert await asks(bug) == Observation("ready", None, "it failed: ZeroDivisionError")


async def test_a_question_whose_caller_goes_is_left() -> None:
    asking = asyncio.create_task(asks(asyncio.Event().wait))
    await asyncio.sleep(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def traffic(cursor: dict[str, Any] | None = None) -> Traffic:
    build = lambda: Scripted(ScriptedConfig(), Arms("api", Arm("2")), SourceContext(LoopClock(), str))  # noqa: E731
    return Traffic(build, ScriptedConfig(timeout=3.0), cursor)


async def test_a_source_that_cannot_be_closed_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_self: Scripted) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(Scripted, "close", broken)
    await traffic().close()


async def test_a_close_whose_caller_goes_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(_self: Scripted) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Scripted, "close", hangs)
    closing = asyncio.create_task(traffic().close())
    await asyncio.sleep(0.5)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_a_source_has_begun_with_its_first_look() -> None:
    one = traffic()
    assert not one.has_begun
    await one.look()
    assert one.has_begun
