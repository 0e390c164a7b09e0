"""After a restart: what was told is not told again, and what ended meanwhile is told."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from healthd.journal.database import JournalError
from healthd.metrics import Metrics
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.notice import Notice, Severity
from healthd.notify.notifications import Notifications
from healthd.notify.told import Answer, Change, Key, Memory, Told, receiver_of
from tests.fakes.monitoring import DOWN, MIDNIGHT, SLOW, UP
from tests.unit.healthd.notify.test_notifications import CHAT, SOON, Talk

pytestmark = pytest.mark.looptime
ROLLBACK = Notice(
    "rollback:api", "rollback", "api", "rollback_failed g1 1", True, Severity.CRITICAL, "could not", MIDNIGHT
)
PAGER = {"kind": "pagerduty", "routing_key": "k", "url": "http://pager.invalid/pager", "group_wait": "1s"}
ALERTS = {"kind": "alertmanager", "url": "http://alerts.invalid", "group_wait": "1s"}


class Table:
    """The journal's table: what was saved is loaded by whoever starts next; `down` is a journal that is."""

    def __init__(self) -> None:
        self.rows: dict[Key, Told] = {}
        self.down = False

    async def load(self) -> Mapping[Key, Told]:
        self._look()
        return dict(self.rows)

    async def save(self, changes: Mapping[Key, Change], released: Collection[Key]) -> None:
        self._look()
        for key, change in changes.items():
            self.rows.pop(key, None)
            if change.told is not None:
                self.rows[key] = change.told

    async def claim(self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float) -> Answer:
        raise AssertionError("one replica alone asks nobody")

    def _look(self) -> None:
        if self.down:
            raise JournalError("it is down")


class Heard(Talk):
    """What each kind of notifier was given, with the id and the beginning that it carries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.heard: list[str] = []
        self.ids: list[str] = []
        self.before: list[Notice | None] = []

        async def send(_notifier: Any, notices: list[Notice]) -> None:
            self.heard += [f"{notice.name} {notice.standing}" for notice in notices]
            self.ids += [notice.id for notice in notices]
            self.before += [notice.before for notice in notices]

        for kind in ("slack", "pagerduty", "alertmanager"):
            monkeypatch.setattr(NOTIFIERS.find(kind), "send", send)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


@asynccontextmanager
async def life(
    talk: Heard, table: Table, notifier: dict[str, Any] = CHAT, **options: Any
) -> AsyncIterator[Notifications]:
    """One process, from its start to its end; the board knows nothing at first."""
    talk.heard, talk.ids, talk.before = [], [], []
    settings = talk.configure(notifiers={"team": notifier}, **{"routes": [{"to": "team"}], **options})
    talk.board.arrange({}, {}, ())
    talk.board.arrange(settings.active_checks, settings.active_groups, settings.windows)
    notifications = Notifications(
        settings,
        board=talk.board,
        clock=talk.clock,
        redact=talk.redact,
        metrics=Metrics(talk.board, "1", "production"),
        memory=Memory(table),
    )
    task = asyncio.create_task(notifications.run())
    try:
        yield notifications
    finally:
        task.cancel()
        await asyncio.wait({task})
        await notifications.close()


@pytest.mark.parametrize("notifier", [CHAT, PAGER], ids=["chat", "pager"])
async def test_a_known_outage_is_not_told_again(talk: Heard, notifier: dict[str, Any]) -> None:
    """Its end is told, once, also where it ended while nobody looked; what was always well is not spoken of."""
    table = Table()
    async with life(talk, table, notifier):
        talk.put("db", DOWN)
        talk.put("disk", UP)
        await asyncio.sleep(20)
        assert talk.heard == ["db unhealthy"]
    async with life(talk, table, notifier):
        talk.put("db", DOWN)
        talk.put("disk", UP)
        await asyncio.sleep(60)
        assert talk.heard == []
    async with life(talk, table, notifier):
        talk.put("db", UP)
        talk.put("disk", UP)
        await asyncio.sleep(60)
        assert talk.heard == ["db healthy"]
    assert table.rows == {}
    async with life(talk, table, notifier):
        talk.put("db", UP)
        await asyncio.sleep(60)
        assert talk.heard == []


async def test_what_is_repeated_keeps_its_beginning_and_name(talk: Heard) -> None:
    """Alertmanager is sent again what fires, with the time at which it began; a rollback that failed as well."""
    table = Table()
    async with life(talk, table, ALERTS) as notifications:
        talk.put("db", DOWN)
        notifications.tell(ROLLBACK)
        await asyncio.sleep(20)
        first = sorted(talk.ids)
    async with life(talk, table, ALERTS):
        talk.put("db", DOWN)
        await asyncio.sleep(30)
        assert sorted(talk.ids) == first
    async with life(talk, table, ALERTS):
        talk.put("db", UP)
        await asyncio.sleep(30)
        assert "db healthy" in talk.heard
        ended = talk.before[talk.heard.index("db healthy")]
        assert ended is not None
        assert (ended.severity, ended.firing) == (Severity.CRITICAL, True)


async def test_a_change_while_nobody_looked_is_told(talk: Heard) -> None:
    """From unhealthy to degraded, or a check that is no more."""
    table = Table()
    async with life(talk, table):
        talk.put("db", DOWN)
        talk.put("disk", DOWN)
        await asyncio.sleep(20)
    async with life(talk, table, checks={"db": {"kind": "process", "critical": True, **SOON}}):
        talk.put("db", SLOW)
        await asyncio.sleep(20)
        assert sorted(talk.heard) == ["db degraded", "disk removed"]


async def test_another_receiver_is_told_what_is_wrong_now(talk: Heard) -> None:
    """The same name with another address was told nothing yet; another pace is the same receiver."""
    table = Table()
    for notifier, heard in (
        (CHAT, ["db unhealthy"]),
        ({**CHAT, "per_minute": 5, "group_wait": "2s"}, []),
        ({**CHAT, "url": "http://chat.invalid/other"}, ["db unhealthy"]),
    ):
        async with life(talk, table, notifier):
            talk.put("db", DOWN)
            await asyncio.sleep(20)
            assert talk.heard == heard


async def test_a_journal_that_is_down_holds_nobody_up(talk: Heard) -> None:
    """What is wrong is told all the same; what ended is told once the journal can be read."""
    table = Table()
    async with life(talk, table):
        talk.put("disk", DOWN)
        await asyncio.sleep(20)
    table.down = True
    async with life(talk, table):
        talk.put("db", DOWN)
        talk.put("disk", UP)
        await asyncio.sleep(9)
        assert talk.heard == ["db unhealthy"]
        table.down = False
        await asyncio.sleep(9)
        assert talk.heard == ["db unhealthy", "disk healthy"]
    assert [told.notice.name for told in table.rows.values()] == ["db"]


async def test_what_another_host_alone_sees_is_its_own(talk: Heard) -> None:
    """Replicas that share a journal leave each other's local checks alone."""
    table = Table()
    chat = talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}]).notifiers["team"]
    elsewhere = Notice(
        "check:disk@other", "check", "disk", "unhealthy", True, Severity.WARNING, "", MIDNIGHT, facts={"host": "other"}
    )
    table.rows[receiver_of("team", chat), elsewhere.key] = Told(elsewhere, MIDNIGHT)
    async with life(talk, table):
        talk.put("disk", UP)
        await asyncio.sleep(20)
        assert talk.heard == []
    assert len(table.rows) == 1


async def test_the_end_of_a_failed_rollback_reaches_who_was_told_of_it(talk: Heard) -> None:
    """Through a route that takes what is critical alone, after a restart."""
    table = Table()
    route = {"routes": [{"to": "team", "severity": "critical"}]}
    async with life(talk, table, PAGER, **route) as notifications:
        notifications.tell(ROLLBACK)
        await asyncio.sleep(20)
    async with life(talk, table, PAGER, **route) as notifications:
        done = replace(ROLLBACK, standing="rolled_back g1 2", firing=False, severity=Severity.INFO, always=True)
        notifications.tell(replace(done, since=MIDNIGHT + timedelta(hours=1)))
        await asyncio.sleep(20)
        assert talk.heard == ["api rolled_back g1 2"]
    assert table.rows == {}
