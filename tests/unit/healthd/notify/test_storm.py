"""Many at once: everything is told within seconds by every kind of notifier, the worst first."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from healthd.notifiers import KINDS, NOTIFIERS, alertmanager, grafana, pagerduty, sendgrid, sentry, slack, webhook
from healthd.notifiers.apprise import Apprise
from healthd.notifiers.contract import NotifierContext
from healthd.notifiers.email import Email
from healthd.notifiers.notice import Notice, Severity
from healthd.notify.delivery_queue import DeliveryMetrics, DeliveryQueue
from tests.fakes.monitoring import MIDNIGHT, LoopClock

pytestmark = pytest.mark.looptime
ROLLBACK = Notice(
    "rollback:app",
    "rollback",
    "app",
    "rollback_failed g1 1",
    True,
    Severity.CRITICAL,
    "app 8.0 could not be rolled back",
    MIDNIGHT,
)
OPTIONS: dict[str, dict[str, Any]] = {
    "alertmanager": {"url": "http://alerts.test"},
    "apprise": {"url": "json://hook.test"},
    "email": {"host": "mail.test", "from": "a@b.test", "to": ["c@d.test"]},
    "grafana": {"url": "http://grafana.test", "token": "t"},
    "pagerduty": {"routing_key": "k"},
    "sendgrid": {"key": "k", "from": "a@b.test", "to": ["c@d.test"]},
    "sentry": {"dsn": "http://public@sentry.test/1"},
    "slack": {"url": "http://chat.test/hook"},
    "webhook": {"url": "http://hook.test"},
}
TAKES = 0.3  # seconds that a receiver takes for a message
SEVERAL = {"alertmanager", "apprise", "email", "sendgrid", "slack"}


def notice(number: int, severity: Severity = Severity.CRITICAL) -> Notice:
    name = f"t{number:03}"
    return Notice(f"check:{name}", "check", name, "unhealthy", True, severity, f"{name} is unhealthy", MIDNIGHT)


def over(told: Notice) -> Notice:
    return replace(
        told, standing="healthy", firing=False, severity=Severity.INFO, summary=f"{told.name} is healthy", always=False
    )


class Wire:
    """What a notifier posts: when, and the whole of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[float, str]] = []
        for module in (alertmanager, grafana, pagerduty, sendgrid, sentry, slack, webhook):
            monkeypatch.setattr(module, "post", self._post)

        async def send(mail: Email, notices: Sequence[Notice]) -> None:  # its thread would not keep virtual time
            await self._post(None, "", data=mail._mail(notices).as_bytes())

        async def notify(apprise: Apprise, notices: Sequence[Notice]) -> None:
            await self._post(None, "", data="\n".join(apprise._message(notices, 1_000_000)).encode())

        monkeypatch.setattr(Email, "send", send)
        monkeypatch.setattr(Apprise, "send", notify)

    async def _post(self, _session: object, _url: str, json: object = None, data: bytes = b"", **_rest: object) -> None:
        await asyncio.sleep(TAKES)
        text = data.decode() if data else _dumped(json)
        self.sent.append((asyncio.get_running_loop().time(), text))

    def told_at(self, word: str) -> float:
        return next(moment for moment, text in self.sent if word in text)

    def longest_minute(self) -> int:
        moments = [moment for moment, _ in self.sent]
        return max((sum(start <= other < start + 60 for other in moments) for start in moments), default=0)


def _dumped(document: object) -> str:
    return json.dumps(document)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    return Wire(monkeypatch)


@asynccontextmanager
async def queued(kind: str, **options: Any) -> AsyncIterator[DeliveryQueue]:
    model = NOTIFIERS.find(kind).config_model
    config = model.model_validate({"kind": kind, **OPTIONS[kind], **options})
    notifier = NOTIFIERS.find(kind)(config, NotifierContext(None, LoopClock(), "production", "host-1"))  # type: ignore[arg-type]
    books = DeliveryMetrics(lambda *_: None, lambda _: None, lambda _: None, lambda *_: None)
    queue = DeliveryQueue(kind, config, notifier, clock=LoopClock(), redact=str, books=books)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("many", [60, 200])
async def test_all_of_a_storm_is_told_within_five_seconds(wire: Wire, kind: str, many: int) -> None:
    """Whatever the receiver takes at once, and without more messages than allowed."""
    async with queued(kind) as queue:
        for number in range(many):
            queue.subjects.put(notice(number))
        await asyncio.sleep(120)
    late = [number for number in range(many) if wire.told_at(f"t{number:03}") > 5]
    assert late == []
    assert wire.longest_minute() <= 60


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("later", [0.0, 1.0, 3.0, 8.0])
async def test_a_failed_rollback_does_not_wait_behind_warnings(wire: Wire, kind: str, later: float) -> None:
    """Whether it fails with them, while they are being told, or after."""
    async with queued(kind) as queue:
        for number in range(200):
            queue.subjects.put(notice(number, Severity.WARNING))
        await asyncio.sleep(later)
        queue.subjects.put(ROLLBACK)
        await asyncio.sleep(60)
    assert wire.told_at("app 8.0 could not be rolled back") <= later + 5


async def test_the_worst_is_told_first_and_what_fires_before_what_is_over(wire: Wire) -> None:
    """An incident that ended can wait; one that began cannot."""
    async with queued("pagerduty") as queue:
        queue.subjects.put(notice(1))
        await asyncio.sleep(10)
        for one in (over(notice(1)), notice(2, Severity.WARNING), notice(3), ROLLBACK):
            queue.subjects.put(one)
        await asyncio.sleep(10)
    said = [json.loads(text) for _, text in wire.sent]
    assert [event["dedup_key"].rpartition(":")[2] for event in said] == ["t001", "app", "t003", "t002", "t001"]
    assert said[-1]["event_action"] == "resolve"


async def test_what_was_put_together_at_a_pager_ends_as_one(wire: Wire) -> None:
    """Incidents of their own are resolved one by one, the one of the rest when all of it is over, and nothing stays."""
    many = [notice(number) for number in range(60)]
    async with queued("pagerduty", per_minute=20) as queue:
        for one in many:
            queue.subjects.put(one)
        await asyncio.sleep(30)
        opened = [json.loads(text)["dedup_key"] for _, text in wire.sent]
        assert 2 < len(opened) <= 10  # half of a minute's messages at once
        assert ":summary:" in opened[-1]
        for one in many[:-1]:
            queue.subjects.put(over(one))
        await asyncio.sleep(300)
        assert opened[-1] not in _resolved(wire)
        queue.subjects.put(over(many[-1]))
        await asyncio.sleep(60)
    assert sorted(_resolved(wire)) == sorted(opened)
    assert wire.longest_minute() <= 20


def _resolved(wire: Wire) -> list[str]:
    events = [json.loads(text) for _, text in wire.sent]
    return [event["dedup_key"] for event in events if event["event_action"] == "resolve"]


async def test_a_summary_holds_the_events_that_it_puts_together(wire: Wire) -> None:
    """A receiver can take them as if each had come by itself; each end comes by itself, or put together too."""
    async with queued("webhook", per_minute=4) as queue:
        for number in range(10):
            queue.subjects.put(notice(number))
        await asyncio.sleep(60)
        first, summary = (json.loads(text) for _, text in wire.sent)
        assert first["subject"] == "t000"
        assert summary["type"] == "healthd.summary.firing"
        assert [event["subject"] for event in summary["data"]["events"]] == [f"t{number:03}" for number in range(1, 10)]
        assert summary["data"]["events"][0]["id"] == f"check:t001/unhealthy/{MIDNIGHT.isoformat()}"
        for number in range(10):
            queue.subjects.put(over(notice(number)))
        await asyncio.sleep(120)
    ends = [json.loads(text) for _, text in wire.sent[2:]]
    told = {event["subject"] for end in ends for event in end["data"].get("events", [end])}
    assert told == {f"t{number:03}" for number in range(10)}


async def test_one_message_a_minute_holds_everything(wire: Wire) -> None:
    """The smallest rate."""
    async with queued("webhook", per_minute=1) as queue:
        for number in range(5):
            queue.subjects.put(notice(number))
        await asyncio.sleep(30)
        assert len(wire.sent) == 1
        queue.subjects.put(notice(9))
        await asyncio.sleep(60)
    assert len(wire.sent) == 2
    assert wire.longest_minute() == 1
