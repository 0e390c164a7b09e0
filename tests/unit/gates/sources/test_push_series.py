"""Counters and values of a team's own, posted to a gate beside its requests."""

from datetime import timedelta
from typing import Any

import pytest

from healthd.runtime.redaction import Redactor
from healthd_gates.domain.evidence import Counts, Events, Numbers, Stream, Values
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.sources.contract import Arm, Arms, Series, SourceContext
from healthd_gates.sources.push import Push, PushConfig
from tests.fakes.sources import Desk, HandClock
from tests.unit.gates.judge.evidence import START

CHECKOUTS = Series("checkouts", "counts", {"of": "all", "bad": "failed"})
CRASHES = Series("crashes", "events", {"events": "crashes"})
PER_REQUEST = Series("crashes", "events", {"events": "crashes", "requests": "all"})
QUEUE = Series("queue", "values", {"value": "queue"})


class Log:
    """The pushes of a gate."""

    def __init__(self) -> None:
        self.pushes: list[tuple[int, PushedEvidence]] = []

    def add(self, at: float | None = None, sender: str = "a", **counts: Any) -> None:
        number = len(self.pushes) + 1
        push = {"id": f"p{number}", "sender": sender, "candidate": {"requests": 10, "errors": 0, **counts}}
        totals = {} if at is None else {"totals": True, "at": START + timedelta(seconds=at)}
        self.pushes.append((number, PushedEvidence.model_validate({**push, **totals})))

    async def after(self, position: int) -> list[tuple[int, PushedEvidence]]:
        return self.pushes[position:]


def desk(log: Log, *series: Series) -> Desk:
    clock = HandClock(START)
    context = SourceContext(clock, Redactor(()), pushes=log, series=series)
    return Desk(Push(PushConfig(kind="push"), Arms("api", Arm("2")), context), clock)


@pytest.mark.parametrize(
    ("series", "pushed", "numbers"),
    [
        (CHECKOUTS, [{"all": 90, "failed": 2}, {"all": 10}], Counts(100, 2)),
        (CHECKOUTS, [{"failed": 2}], None),
        (CRASHES, [{"crashes": 3}, {"crashes": 0}], Events(3, None, 1)),
        (PER_REQUEST, [{"crashes": 3, "all": 50}, {"all": 50}], Events(3, 100, 1)),
    ],
)
async def test_increases_are_added_up(series: Series, pushed: list[dict[str, float]], numbers: Numbers | None) -> None:
    log = Log()
    gate = desk(log, series)
    await gate.look()
    for counts in pushed:
        log.add(series=counts)
    evidence = await gate.seen(5)
    assert evidence.streams[series.stream] == Stream(numbers)
    assert evidence.candidate == Counts(10 * len(pushed), 0)
    assert (await gate.seen(5)).streams[series.stream] == Stream(None)


async def test_totals_are_followed_through_a_restart() -> None:
    log = Log()
    gate = desk(log, CHECKOUTS)
    await gate.look()
    log.add(at=1, series={"all": 1000, "failed": 7})
    assert (await gate.seen(5)).streams["checkouts"] == Stream(None)
    log.add(at=6, series={"all": 1050, "failed": 9})
    log.add(at=8, series={"all": 20, "failed": 1})
    assert (await gate.seen(5)).streams["checkouts"] == Stream(Counts(70, 3), resets=1)


async def test_the_newest_value_of_each_sender_counts() -> None:
    log = Log()
    gate = desk(log, QUEUE)
    await gate.look()
    log.add(values={"queue": 9})
    log.add(values={"queue": 14})
    log.add(sender="b", values={"queue": -2.5})
    assert (await gate.seen(5)).streams["queue"] == Stream(Values((14, -2.5)))
