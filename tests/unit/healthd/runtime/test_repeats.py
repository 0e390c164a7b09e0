"""What happens again and again."""

import asyncio

from healthd import logs
from healthd.runtime.repeats import Repeats
from tests.unit.healthd.test_logs import Stream, stderr

__all__ = ["stderr"]


def test_once_and_then_how_often() -> None:
    """At once, and a minute later with all that came in between; each kind for itself."""
    now = 0.0
    repeats = Repeats(lambda: now)
    assert [repeats.count("a") for _ in range(100)] == [1] + [0] * 99
    assert repeats.count("b") == 1
    now = 61.0
    assert repeats.count("a") == 100
    assert repeats.count("a") == 0


def test_there_is_an_end_to_the_kinds() -> None:
    """A kind that a stranger's text is part of does not fill the memory."""
    repeats = Repeats(lambda: 0.0)
    for number in range(10_000):
        repeats.count(number)
    assert len(repeats._kinds) <= 256


async def test_no_descriptor_left(stderr: Stream) -> None:
    """The event loop says so with every try to accept: one line, not thousands."""
    stderr.configure()
    loop = asyncio.get_running_loop()
    logs.catch_the_uncaught_in(loop)
    for _ in range(1000):
        error = OSError(24, "Too many open files")
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": error})
    assert len(stderr.lines()) == 1
