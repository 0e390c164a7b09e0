"""What HAProxy is told."""

import asyncio

import pytest

from healthd.config.sections import Group
from healthd.model import Result
from healthd.web import agent_check
from healthd.web.documents import ietf_document
from healthd.web.pages.badge import status_badge
from healthd.web.public.standing import State, of_checks
from healthd.web.server import CannotListenError
from tests.fakes.monitoring import DOWN, SLOW, UP
from tests.servers.waiting import HANGS
from tests.unit.healthd.monitoring.test_board import Wall, config


def wall(**group: object) -> Wall:
    checks = {"db": config(), "cache": config()}
    return Wall(checks, {"ready": Group.model_validate({"checks": ("db", "cache"), **group})})


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (UP, "up ready 100%\n"),
        (SLOW, "up ready 50%\n"),
        (DOWN, "down #not ready: db\n"),
        (None, "down #not ready: db\n"),
    ],
)
def test_states(result: Result | None, said: str) -> None:
    """Up with its full weight, up with half of it when degraded, down with the names of what fails."""
    board = wall()
    board.put("cache", UP)
    if result is not None:
        board.put("db", result)
    assert agent_check.answer(board.board) == said


def test_a_tolerated_failure_halves_the_weight() -> None:
    """The product is degraded everywhere, and no replica is taken out."""
    board = wall(shared_failure="degrade")
    board.put("db", DOWN)
    board.put("cache", UP)
    assert agent_check.answer(board.board) == "up ready 50%\n"


def test_every_view_says_the_same_of_a_check_that_a_reload_brings() -> None:
    """It does not count until it was probed: not for `ready`, the agent, the page for customers, nor a badge."""
    board = wall()
    board.put("db", UP)
    board.put("cache", UP)
    groups = {"ready": Group(checks=("db", "cache", "new"))}
    board.board.arrange({"db": config(timeout="1s"), "cache": config(), "new": config()}, groups, ())
    states = board.board.checks()
    assert board.ready()
    assert agent_check.answer(board.board) == "up ready 100%\n"
    assert of_checks(states) is State.OPERATIONAL
    assert ["healthy</title>" in status_badge(state) for state in states] == [True] * 3
    document = ietf_document(board.board.overall(), states, version="1", detailed=True)
    assert {document["status"], *(each["status"] for (each,) in document["checks"].values())} == {"pass"}
    board.put("cache", DOWN)
    assert agent_check.answer(board.board) == "down #not ready: cache\n"


def test_stale_is_down() -> None:
    """Results that grew too old are not up."""
    board = wall()
    board.put("db", UP)
    board.put("cache", UP)
    board.clock.seconds += 32
    assert agent_check.answer(board.board) == "down #not ready: db, cache\n"


def test_draining() -> None:
    """A daemon that is about to stop asks for no new sessions."""
    board = wall()
    board.board.drain()
    assert agent_check.answer(board.board) == "drain\n"


@pytest.mark.parametrize("sent", [b"", b"state please\n" * 100])
async def test_one_line_a_connection(sent: bytes) -> None:
    """The answer comes at once, whether or not something was sent, and the connection ends."""
    server = await agent_check.listen(wall().board, "127.0.0.1:0")
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), HANGS) == b"down #not ready: db, cache\n"
        writer.close()


async def test_an_address_that_is_taken() -> None:
    """It is named."""
    server = await agent_check.listen(wall().board, "127.0.0.1:0")
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(CannotListenError, match=f"cannot listen on {address}: Address already in use"):
            await agent_check.listen(wall().board, address)
