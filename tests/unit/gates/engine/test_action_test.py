"""An action is tested before a deploy depends on it: looked at, or carried out."""

from pathlib import Path
from typing import Any

import pytest

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain.errors import InvalidRequest, ServiceBusy, UnknownAction, UnknownService
from healthd_gates.domain.request import ActionTest, Version
from healthd_gates.engine import action_test
from tests.fakes.gates import Note, replica, request


def asked(**changes: Any) -> ActionTest:
    return ActionTest(service="api", **changes)


async def test_nothing_is_done_unless_it_is_asked_for(file: Path) -> None:
    async with replica(file) as running:
        found = await running.keeper.test_action("back", asked(candidate=Version(version="2")), caller="ann")
        assert found == action_test.Tested("note", True, "note 2")
    assert Note.tried == []


async def test_what_can_be_tested_without_an_effect_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then the test says whether it is able."""

    async def test(_self: Note) -> ActionResult:
        return ActionResult(Ending.REFUSED, "the receiver knows no such key")

    monkeypatch.setattr(Note, "test", test, raising=False)
    async with replica(file) as running:
        found = await running.keeper.test_action("back", asked(), caller="ann")
        assert found == action_test.Tested("note", False, "note candidate: the receiver knows no such key")


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.RETRY])
async def test_it_is_carried_out_where_that_is_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch, ending: Ending
) -> None:
    """Told of these versions as if the candidate were rolled back now."""
    monkeypatch.setattr(Note, "act", lambda _order: ActionResult(ending, "said so"))
    async with replica(file) as running:
        found = await running.keeper.test_action("back", asked(run=True, baseline=Version(version="1")), caller="ann")
        assert found == action_test.Tested("note", ending is Ending.DONE, "said so", ending)
    [order] = Note.tried
    assert (order.action, order.gate.caller, order.arms.baseline is not None) == ("back", "ann", True)


async def test_no_action_is_carried_out_while_a_gate_has_the_traffic(file: Path) -> None:
    async with replica(file) as running:
        await running.keeper.start(request(), caller="ci")
        with pytest.raises(ServiceBusy):
            await running.keeper.test_action("back", asked(run=True), caller="ann")
        assert (await running.keeper.test_action("back", asked(), caller="ann")).ok


async def test_what_does_not_exist_is_refused(file: Path) -> None:
    async with replica(file) as running:
        with pytest.raises(UnknownAction):
            await running.keeper.test_action("bcak", asked(), caller="ann")
        with pytest.raises(UnknownService):
            await running.keeper.test_action("back", ActionTest(service="shop"), caller="ann")
        with pytest.raises(InvalidRequest, match="no target is called 'blue'"):
            await running.keeper.test_action("back", asked(candidate=Version(version="2", target="blue")), caller="ann")
