"""What a notifier has yet to deliver."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from healthd.notifiers.contract import DeliveryError, NotifierConfig
from healthd.notifiers.notice import Notice, Severity
from healthd.notify.delivery_queue import DeliveryMetrics, DeliveryQueue
from tests.fakes.monitoring import MIDNIGHT, LoopClock, forever

pytestmark = pytest.mark.looptime

DOWN = Notice("check:db", "check", "db", "unhealthy", True, Severity.CRITICAL, "db is unhealthy", MIDNIGHT)
WELL = replace(DOWN, standing="healthy", firing=False, severity=Severity.INFO)
SLOW = replace(DOWN, standing="degraded", severity=Severity.WARNING)


class Receiver:
    """Takes what it is sent, unless its script says otherwise. `told` has the time of each message."""

    config_model: ClassVar[type[NotifierConfig]] = NotifierConfig
    grouped: ClassVar[bool] = True
    keeps_incidents: ClassVar[bool] = False
    repeat: ClassVar[float | None] = None

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.told: list[tuple[float, list[str]]] = []
        self.tries: list[float] = []

    async def send(self, notices: Sequence[Notice]) -> None:
        now = asyncio.get_running_loop().time()
        self.tries.append(now)
        if self.script and (error := self.script.pop(0)) is not None:
            raise error
        self.told.append((now, [f"{notice.name} {notice.standing}" for notice in notices]))

    @property
    def words(self) -> list[list[str]]:
        return [words for _, words in self.told]


class Hanging(Receiver):
    async def send(self, notices: Sequence[Notice]) -> None:
        self.tries.append(asyncio.get_running_loop().time())
        await forever()


class Pager(Receiver):
    grouped = False
    keeps_incidents = True


class Reminded(Receiver):
    repeat = 60.0


class Books:
    """What the metrics would show."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.up: list[bool] = []
        self.waiting = 0

    def __call__(self) -> DeliveryMetrics:
        return DeliveryMetrics(self._told, self.up.append, self._wait, lambda *_: None)

    def _told(self, outcome: str, notices: int) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + notices

    def _wait(self, notices: int) -> None:
        self.waiting = notices


@asynccontextmanager
async def queued(receiver: Receiver, books: Books | None = None, **options: Any) -> AsyncIterator[DeliveryQueue]:
    config = NotifierConfig.model_validate({"kind": "test", **options})
    queue = DeliveryQueue("chat", config, receiver, clock=LoopClock(), redact=str, books=(books or Books())())
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_happens_together_is_one_message() -> None:
    """Within `wait`, everything goes into one."""
    async with queued(receiver := Receiver(), group_wait="5s") as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(3)
        queue.subjects.put(replace(SLOW, key="check:mail", name="mail"))
        await asyncio.sleep(10)
    assert receiver.words == [["db unhealthy", "mail degraded"]]


async def test_nothing_is_told_twice() -> None:
    """However often it is said that a check is down, it is told once, and its end once."""
    async with queued(receiver := Receiver()) as queue:
        for state in (DOWN, WELL):
            for _ in range(30):
                queue.subjects.put(state)
                await asyncio.sleep(1)
    assert receiver.words == [["db unhealthy"], ["db healthy"]]


async def test_a_blip_is_not_told() -> None:
    """What is over before it was told was nothing; nor is it news that what was never told is well."""
    async with queued(receiver := Receiver()) as queue:
        queue.subjects.put(WELL)
        queue.subjects.put(DOWN)
        await asyncio.sleep(2)
        queue.subjects.put(WELL)
        await asyncio.sleep(60)
    assert receiver.words == []


async def test_an_end_without_a_beginning_is_not_told() -> None:
    """Not even to a receiver that keeps incidents: what was firing before a restart is in the journal."""
    async with queued(receiver := Pager()) as queue:
        for _ in range(20):
            queue.subjects.put(WELL)
            await asyncio.sleep(1)
    assert receiver.words == []


@pytest.mark.parametrize(("lost", "told"), [(True, [["db healthy"]]), (False, [])])
async def test_the_end_of_what_a_receiver_may_have_taken_is_told(lost: bool, told: list[list[str]]) -> None:
    """Where the answer was lost; not where it was never reached. What goes on is told again, and its end once."""
    refused = [DeliveryError("cannot be reached", perhaps_taken=lost)] * 3
    async with queued(receiver := Receiver(*refused), group_wait="100ms") as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(4)
        queue.subjects.put(WELL)
        await asyncio.sleep(60)
        assert receiver.words == told
        receiver.script = [DeliveryError("cannot be reached", perhaps_taken=lost)]
        queue.subjects.put(DOWN)
        await asyncio.sleep(60)
        queue.subjects.put(WELL)
        await asyncio.sleep(60)
        assert receiver.words == [*told, ["db unhealthy"], ["db healthy"]]


async def test_the_end_of_what_a_slow_receiver_may_have_taken_is_told() -> None:
    """It took the message, and answered too late."""
    async with queued(receiver := Receiver(TimeoutError()), group_wait="100ms") as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(0.5)
        queue.subjects.put(WELL)
        await asyncio.sleep(60)
        assert receiver.words == [["db healthy"]]


async def test_another_severity_is_news() -> None:
    """From unhealthy to degraded is told."""
    async with queued(receiver := Receiver()) as queue:
        for state in (DOWN, SLOW, WELL):
            queue.subjects.put(state)
            await asyncio.sleep(10)
    assert receiver.words == [["db unhealthy"], ["db degraded"], ["db healthy"]]


async def test_who_was_told_of_the_beginning_is_told_of_the_end() -> None:
    """Also where what came after is not for this receiver."""
    async with queued(receiver := Receiver()) as queue:
        queue.subjects.put(SLOW, wanted=False)
        await asyncio.sleep(10)
        assert receiver.words == []
        queue.subjects.put(DOWN)
        await asyncio.sleep(10)
        queue.subjects.put(SLOW, wanted=False)
        await asyncio.sleep(10)
    assert receiver.words == [["db unhealthy"], ["db degraded"]]


async def test_a_receiver_that_is_down_is_tried_again_ever_more_slowly() -> None:
    """It shows in the metrics, and when it is back it is told of how things stand, not of all that has been."""
    books = Books()
    async with queued(receiver := Receiver(*[DeliveryError("refused")] * 6), books) as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(20)
        assert books.up[-1] is False
        assert books.waiting == 1
        queue.subjects.put(WELL)
        queue.subjects.put(replace(DOWN, standing="timeout"))
        await asyncio.sleep(300)
    pauses = [b - a for a, b in zip(receiver.tries, receiver.tries[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1.01
    assert receiver.words == [["db timeout"]]
    assert books.up[-1] is True
    assert books.waiting == 0
    assert books.outcomes == {"failed": 6, "sent": 1}


async def test_a_receiver_that_asks_for_a_pause_gets_it() -> None:
    """Retry-After counts."""
    async with queued(receiver := Receiver(DeliveryError("slow down", retry_after=90))) as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(200)
    assert receiver.tries == [2, 92]


async def test_a_message_that_is_refused_for_good_is_given_up() -> None:
    """It is counted and not sent again; the next one is."""
    books = Books()
    async with queued(receiver := Receiver(DeliveryError("bad", final=True)), books) as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(60)
        queue.subjects.put(WELL)
        await asyncio.sleep(60)
    assert receiver.words == [["db healthy"]]
    assert books.outcomes == {"refused": 1, "sent": 1}


async def test_a_receiver_that_hangs_is_left() -> None:
    """A try ends after `timeout`; so it does when the notifier has a bug."""
    books = Books()
    async with queued(receiver := Hanging(), books, timeout="2s") as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(20)
        assert len(receiver.tries) > 2
    async with queued(broken := Receiver(ZeroDivisionError()), books) as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(20)
    assert broken.words == [["db unhealthy"]]


async def test_no_more_messages_than_allowed() -> None:
    """A storm is put together rather than lost: three messages a minute, and in the end how things stand."""
    async with queued(receiver := Receiver(), group_wait="1s", per_minute=3) as queue:
        for second in range(180):
            queue.subjects.put(replace(DOWN, standing=f"state {second}"))
            await asyncio.sleep(1)
        await asyncio.sleep(60)
    for moment, _ in receiver.told:
        assert sum(moment <= other < moment + 60 for other, _ in receiver.told) <= 3
    assert receiver.words[-1] == ["db state 179"]


async def test_what_fires_is_repeated_where_asked_for() -> None:
    """Until it is over."""
    async with queued(receiver := Reminded()) as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(200)
        queue.subjects.put(WELL)
        await asyncio.sleep(200)
    assert receiver.words == [["db unhealthy"]] * 4 + [["db healthy"]]


async def test_a_notice_that_lasts_ends_by_itself() -> None:
    """It is repeated no more, and what comes after it is news again."""
    failed = replace(DOWN, key="gate:api", about="gate", lasts=100.0)
    async with queued(receiver := Reminded()) as queue:
        queue.subjects.put(failed)
        await asyncio.sleep(400)
    assert len(receiver.words) == 2


async def test_a_check_that_is_removed_is_over() -> None:
    """Nobody is left with an alarm of something that is not looked at any more."""
    async with queued(receiver := Receiver()) as queue:
        queue.subjects.put(DOWN)
        await asyncio.sleep(10)
        queue.subjects.forget_all_but({"check:other"})
        await asyncio.sleep(10)
    assert receiver.words == [["db unhealthy"], ["db removed"]]


class Choosy(Receiver):
    """Answers whatever names a poisoned subject with an error for as long as it lives."""

    def __init__(self, poison: str) -> None:
        super().__init__()
        self.poison = poison

    async def send(self, notices: Sequence[Notice]) -> None:
        if any(self.poison in (each.name for each in (notice, *notice.parts)) for notice in notices):
            self.tries.append(asyncio.get_running_loop().time())
            raise DeliveryError("answered 500")
        await super().send(notices)


class ChoosyPager(Choosy):
    grouped = False
    keeps_incidents = True


def of(name: str, **changes: Any) -> Notice:
    return replace(DOWN, key=f"check:{name}", name=name, **changes)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [Choosy, ChoosyPager])
async def test_a_message_that_is_never_taken_holds_up_no_other(kind: type[Choosy], seed: int) -> None:
    """One that the receiver answers with 500 for ever: the others are told within seconds, whatever the jitter, and
    after an hour it is given up, counted and said."""
    random.seed(seed)
    books = Books()
    async with queued(receiver := kind("poison"), books) as queue:
        for name in ("poison", "a", "b", "c", "d"):
            queue.subjects.put(of(name))
        await asyncio.sleep(12)
        assert sorted(word for _, words in receiver.told for word in words) == [f"{n} unhealthy" for n in "abcd"]
        await asyncio.sleep(600)
        queue.subjects.put(of("late"))
        await asyncio.sleep(10)
        assert receiver.words[-1] == ["late unhealthy"]
        await asyncio.sleep(4000)
    assert books.outcomes["refused"] == 1
    assert books.waiting == 0
    assert 10 < len(receiver.tries) < 40


async def test_what_a_receiver_that_is_down_was_not_told_is_not_given_up() -> None:
    """It takes nothing, for hours: then all of it is told."""
    books = Books()
    async with queued(receiver := Receiver(*[DeliveryError("answered 503")] * 60), books) as queue:
        for name in "abcde":
            queue.subjects.put(of(name))
        await asyncio.sleep(9 * 3600)
    assert sorted(word for _, words in receiver.told for word in words) == [f"{name} unhealthy" for name in "abcde"]
    assert "refused" not in books.outcomes
    assert len(receiver.tries) < 70
