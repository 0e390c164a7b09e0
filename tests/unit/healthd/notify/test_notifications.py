"""From the board and the routes to the queues."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from healthd.config.settings import Settings
from healthd.config.window import Window, WindowKind
from healthd.metrics import Metrics
from healthd.model import Probe, Result, Status
from healthd.monitoring.cover import Cover
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.notice import Notice, Severity
from healthd.notifiers.routes import Route
from healthd.notifiers.wording import headline, paragraph
from healthd.notify.check_notices import check_notice
from healthd.notify.notifications import Notifications
from healthd.notify.summaries import summary_of
from tests.fakes.monitoring import DOWN, MIDNIGHT, SLOW, UP, Stage

pytestmark = pytest.mark.looptime
SOON = {"interval": "1h", "timeout": "1s"}
CHECKS: dict[str, dict[str, Any]] = {
    "db": {"kind": "process", "critical": True, **SOON},
    "disk": {"kind": "disk", "scope": "local", **SOON},
}
CHAT = {"kind": "slack", "url": "http://chat.invalid/hook", "group_wait": "1s"}


class Talk(Stage):
    """A board that is filled by hand, and what each notifier sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.said: dict[str, list[str]] = {}
        self.sent: list[Notice] = []

        async def send(notifier: Any, notices: Sequence[Notice]) -> None:
            said = self.said.setdefault(notifier._url.rpartition("/")[2], [])
            said.extend(f"{notice.name} {notice.standing} {notice.severity}" for notice in notices)
            self.sent += notices

        monkeypatch.setattr(NOTIFIERS.find("slack"), "send", send)

    def configure(self, **options: Any) -> Settings:
        settings = Settings.model_validate({"environment": "production", "checks": CHECKS, **options})
        self.board.arrange(settings.active_checks, settings.active_groups, settings.windows)
        self.settings = settings
        return settings

    def put(self, name: str, result: Result, fresh: float = 3600.0) -> None:
        before = self.board.check(name)
        now, steady = self.clock.now(), self.clock.steady()
        probe = Probe(now, 0.01, result)
        up_since = now if result.status.is_up and not before.status.is_up else before.up_since
        good = steady + fresh
        self.board.put(
            replace(before, status=result.status, since=now, probe=probe, good_until=good, up_since=up_since)
        )


@asynccontextmanager
async def telling(talk: Talk, settings: Settings) -> AsyncIterator[Notifications]:
    metrics = Metrics(talk.board, "1", "production")
    notifications = Notifications(settings, board=talk.board, clock=talk.clock, redact=talk.redact, metrics=metrics)
    task = asyncio.create_task(notifications.run())
    try:
        yield notifications
    finally:
        task.cancel()
        await asyncio.wait({task})
        await notifications.close()


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    return Talk(monkeypatch)


async def test_a_check_is_told_by_the_routes_of_the_environment(talk: Talk) -> None:
    """A critical failure is critical, another a warning; another environment's route is not taken."""
    notify = {"team": CHAT, "others": {**CHAT, "url": "http://chat.invalid/others"}}
    routes = [{"environment": "production", "to": "team"}, {"environment": "staging", "to": "others"}]
    async with telling(talk, talk.configure(notifiers=notify, routes=routes)):
        talk.put("db", DOWN)
        talk.put("disk", SLOW)
        await asyncio.sleep(5)
        talk.put("db", UP)
        await asyncio.sleep(5)
    assert talk.said == {"hook": ["db unhealthy critical", "disk degraded warning", "db healthy info"]}


async def test_a_check_is_told_with_its_place_on_the_status_page(talk: Talk) -> None:
    """Beside its runbook, where the daemon's address is known."""
    talk.configure(checks={"db": {"kind": "process", **SOON, "runbook_url": "https://wiki.test/db"}})
    talk.put("db", DOWN)
    notice = check_notice(talk.board.check("db"), "host-1", talk.clock.now(), "https://healthd.test")
    assert paragraph(notice).splitlines()[-2:] == ["https://wiki.test/db", "https://healthd.test/checks/db"]
    assert check_notice(talk.board.check("db"), "host-1", talk.clock.now()).page is None


async def test_overdue_is_told(talk: Talk) -> None:
    """What nobody probes any more is unknown, and somebody hears of it."""
    async with telling(talk, talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}])):
        talk.put("db", UP, fresh=60)
        await asyncio.sleep(100)
    assert talk.said == {"hook": ["db unknown critical"]}


async def test_maintenance_is_quiet_and_its_end_is_not(talk: Talk) -> None:
    """A failure in the window is told when the window ends, without a transition."""
    window = {
        "checks": ["db"],
        "from": MIDNIGHT.isoformat(),
        "to": (MIDNIGHT + timedelta(seconds=100)).isoformat(),
        "reason": "upgrade",
    }
    async with telling(talk, talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}], maintenance=[window])):
        talk.put("db", DOWN)
        await asyncio.sleep(90)
        assert talk.said == {}
        await asyncio.sleep(20)
    assert talk.said == {"hook": ["db unhealthy critical"]}


@pytest.mark.parametrize(
    ("kind", "standing", "detail"),
    [
        ("pause", "paused", "moving"),
        ("maintenance", "in maintenance", "moving\nThe check itself is unhealthy all the same."),
    ],
)
async def test_the_end_of_a_failure_says_what_covers_it(
    talk: Talk, kind: WindowKind, standing: str, detail: str
) -> None:
    """And is no "OK", which at night reads as a recovery."""
    talk.configure()
    talk.put("db", DOWN)
    covers = (Cover(kind, "moving", MIDNIGHT),)
    notice = check_notice(replace(talk.board.check("db"), covers=covers), "host", MIDNIGHT)
    assert (notice.firing, notice.standing, notice.detail) == (False, standing, detail)
    assert headline([notice], "production") == f"[production] INFO: db is {standing}"
    recovered = check_notice(replace(talk.board.check("db"), status=Status.HEALTHY), "host", MIDNIGHT)
    assert headline([recovered], "production") == "[production] OK: db is healthy"


async def test_a_reload_tells_who_is_new(talk: Talk) -> None:
    """A notifier that stayed is told nothing again; one that is new is told what is wrong now; a gone one nothing."""
    async with telling(talk, talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}])) as notifications:
        talk.put("db", DOWN)
        await asyncio.sleep(5)
        both = {"team": CHAT, "new": {**CHAT, "url": "http://chat.invalid/new"}}
        notifications.reconfigure(talk.configure(notifiers=both, routes=[{"to": ["team", "new"]}]))
        await asyncio.sleep(5)
        assert talk.said == {"hook": ["db unhealthy critical"], "new": ["db unhealthy critical"]}
        notifications.reconfigure(talk.configure(notifiers=both, routes=[{"to": "new"}]))
        talk.put("db", UP)
        await asyncio.sleep(5)
    assert talk.said["new"] == ["db unhealthy critical", "db healthy info"]


async def test_secrets_are_not_told(talk: Talk) -> None:
    """Whatever a gate's words quote."""
    heard: list[Notice] = []
    async with telling(talk, talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}])) as notifications:
        talk.redact.learn(["hunter-two"])
        team = notifications._queues["team"].subjects
        put: Callable[..., None] = team.put
        team.put = lambda notice, **_: (heard.append(notice), put(notice))[0]  # type: ignore[method-assign, func-returns-value]
        said = "the password hunter-two"
        notifications.tell(
            Notice("gate:api", "gate", "api", "fail", True, Severity.WARNING, said, MIDNIGHT, said, facts={"by": said})
        )
    assert "hunter-two" not in repr(heard)


def over(seconds: int) -> dict[str, str]:
    return {"from": MIDNIGHT.isoformat(), "to": (MIDNIGHT + timedelta(seconds=seconds)).isoformat()}


async def test_a_silence_holds_back_what_fires_and_lets_ends_through(talk: Talk) -> None:
    """What was told before ends in it; what still fires when it ends is told then."""
    silence = {"checks": ["db", "disk"], "from": (MIDNIGHT + timedelta(seconds=50)).isoformat(), "reason": "x"}
    silence["to"] = (MIDNIGHT + timedelta(seconds=200)).isoformat()
    async with telling(talk, talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}], silences=[silence])):
        talk.put("disk", SLOW, fresh=1000)
        await asyncio.sleep(60)
        talk.put("db", DOWN, fresh=1000)
        await asyncio.sleep(60)
        assert talk.said == {"hook": ["disk degraded warning"]}
        talk.put("disk", UP, fresh=1000)
        await asyncio.sleep(60)
        assert talk.said == {"hook": ["disk degraded warning", "disk healthy info"]}
        await asyncio.sleep(60)
    assert talk.said["hook"][2:] == ["db unhealthy critical"]


async def test_what_is_expected_is_not_told(talk: Talk) -> None:
    """A job whose first report is not due is no news; one that became overdue meanwhile is."""
    settings = talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}])
    async with telling(talk, settings):
        talk.put("db", replace(SLOW, expected=True), fresh=20.0)
        await asyncio.sleep(15)
        assert talk.said == {}
        await asyncio.sleep(15)
        assert len(talk.said["hook"]) == 1


async def test_an_outage_is_told_by_its_cause(talk: Talk) -> None:
    """What depends on it, directly or not, is held back, also where it fails first; what still fails after its recovery
    is told then, and what was told before ends."""
    checks = {"db": CHECKS["db"], **{n: {**CHECKS["db"], "depends_on": p} for n, p in (("api", "db"), ("web", "api"))}}
    async with telling(talk, talk.configure(checks=checks, notifiers={"team": CHAT}, routes=[{"to": "team"}])):
        for name in checks:
            talk.put(name, UP)
        await asyncio.sleep(10)
        talk.put("web", DOWN)
        talk.put("api", DOWN)
        await asyncio.sleep(20)
        assert talk.said == {}  # as long as the database was not probed since
        talk.put("db", DOWN)
        await asyncio.sleep(20)
        assert talk.said["hook"] == ["db unhealthy critical"]
        assert {state.name: state.held_by for state in talk.board.checks()} == {"db": None, "api": "db", "web": "api"}
        talk.put("db", UP)
        await asyncio.sleep(20)
        assert talk.said["hook"][1:] == ["db healthy info"]
        talk.put("api", UP)
        talk.put("web", DOWN)
        await asyncio.sleep(20)
        talk.put("api", UP)
        talk.put("db", UP)
        await asyncio.sleep(20)
        assert talk.said["hook"][2:] == ["web unhealthy critical"]
        talk.put("db", DOWN)
        await asyncio.sleep(20)
        talk.put("web", UP)
        await asyncio.sleep(20)
    assert talk.said["hook"][3:] == ["db unhealthy critical", "web healthy info"]


async def test_the_cause_says_what_it_holds_back(talk: Talk) -> None:
    """In the notice of what is down, at most ten by name."""
    below = {f"api-{n}": {**CHECKS["db"], "depends_on": ["db"]} for n in range(12)}
    talk.configure(checks={"db": CHECKS["db"], **below})
    talk.put("db", DOWN)
    notice = check_notice(talk.board.check("db"), "h", MIDNIGHT, None, talk.board.depending_on("db"))
    assert notice.facts["holds_back"] == ", ".join(f"api-{n}" for n in range(10)) + ", …"


async def test_escalation(talk: Talk) -> None:
    """What has been as it is for long enough, unless somebody acknowledged it; the end follows, and what gets worse is
    told the same way at once."""
    routes = [{"to": "team"}, {"to": "lead", "after": "15m"}]
    lead = {**CHAT, "url": "http://chat.invalid/lead"}
    async with telling(talk, talk.configure(notifiers={"team": CHAT, "lead": lead}, routes=routes)) as notifications:
        talk.put("db", SLOW, fresh=9999)
        await asyncio.sleep(890)
        assert talk.said == {"hook": ["db degraded warning"]}
        await asyncio.sleep(20)
        assert talk.said["lead"] == ["db degraded warning"]
        talk.put("db", DOWN, fresh=9999)
        await asyncio.sleep(10)
        assert talk.said["lead"][1:] == ["db unhealthy critical"]
        acknowledged = {"kind": "acknowledgement", "checks": ["*"], "reason": "x", "author": "ada"}
        talk.board.add_windows([Window.model_validate({"id": "a", **acknowledged, **over(99_999)})])
        talk.put("disk", DOWN, fresh=9999)
        notifications.tell(Notice("gate:g", "gate", "g", "failed", True, Severity.WARNING, "g", talk.clock.now()))
        await asyncio.sleep(910)
        assert talk.said["lead"][2:] == ["g failed warning"]
        talk.put("db", UP, fresh=9999)
        await asyncio.sleep(10)
    assert talk.said["lead"][3:] == ["db healthy info"]


async def test_reminders_until_somebody_has_seen_it(talk: Talk) -> None:
    """Every repeat_interval, until it is acknowledged; what gets worse is told all the same, and so is the end."""
    chat = {**CHAT, "repeat_interval": "60s"}
    async with telling(talk, talk.configure(notifiers={"team": chat}, routes=[{"to": "team"}])):
        talk.put("db", SLOW, fresh=1000)
        await asyncio.sleep(130)
        assert talk.said["hook"] == ["db degraded warning"] * 3
        acknowledged = {
            "id": "a",
            "kind": "acknowledgement",
            "checks": ["db"],
            "reason": "x",
            "author": "ada",
            **over(999),
        }
        talk.board.add_windows([Window.model_validate(acknowledged)])
        await asyncio.sleep(300)
        assert talk.said["hook"] == ["db degraded warning"] * 3
        talk.put("db", DOWN, fresh=1000)
        await asyncio.sleep(300)
        assert talk.said["hook"][3:] == ["db unhealthy critical"]
        talk.put("db", UP, fresh=1000)
        await asyncio.sleep(30)
    assert talk.said["hook"][4:] == ["db healthy info"]


@pytest.mark.parametrize("is_followed", [True, False])
async def test_what_something_else_follows_is_not_repeated(talk: Talk, is_followed: bool) -> None:
    chat = {**CHAT, "repeat_interval": "60s"}
    async with telling(talk, talk.configure(notifiers={"team": chat}, routes=[{"to": "team"}])) as notifications:
        failed = Notice(
            key="gate:api",
            about="gate",
            name="api",
            standing="fail g1",
            firing=True,
            severity=Severity.WARNING,
            summary="api 2.0 failed",
            since=talk.clock.now(),
            lasts=3600.0,
            is_followed=is_followed,
        )
        notifications.tell(failed)
        await asyncio.sleep(130)
    assert talk.said == {"hook": ["api fail g1 warning"] * (1 if is_followed else 3)}


async def test_a_reminder_is_not_taken_for_the_same_message_again(talk: Talk) -> None:
    """It has an id of its own, which a further attempt keeps, and says what it is; so has what is told together."""
    chat = {**CHAT, "repeat_interval": "60s"}
    async with telling(talk, talk.configure(notifiers={"team": chat}, routes=[{"to": "team"}])) as notifications:
        talk.put("db", SLOW, fresh=1000)
        await asyncio.sleep(130)
        assert len({notice.id for notice in talk.sent}) == len(talk.sent) == 3
        assert [paragraph(it).partition(":")[0] for it in talk.sent] == ["WARNING", *["WARNING (reminder)"] * 2]
        subjects = next(iter(notifications._queues.values())).subjects
        again = [subjects.as_reminder(check_notice(talk.board.check("db"), "h", talk.clock.now())) for _ in range(2)]
        assert again[0].id == again[1].id
        assert len({summary_of([it]).key for it in (*talk.sent, again[0])}) == 4
        talk.put("db", UP, fresh=1000)
        await asyncio.sleep(30)
    assert talk.sent[-1].reminds_of is None


@pytest.mark.parametrize(
    ("route", "taken"),
    [
        ({}, {"db", "disk", "api"}),
        ({"severity": "critical"}, {"db"}),
        ({"checks": "d*"}, {"db", "disk"}),
        ({"services": "*"}, {"api"}),
        ({"checks": ["disk"], "services": ["web"]}, {"disk"}),
        ({"labels": {"team": "data"}}, {"db"}),
        ({"labels": {"team": ["data", "w*"], "tier": "gold"}}, {"api"}),
        ({"labels": {"team": "*"}, "checks": "d*"}, {"db", "disk"}),
    ],
)
def test_routes_take_what_they_name(route: dict[str, Any], taken: set[str]) -> None:
    """By check, by service, by severity, by labels; none named is all."""
    reads = Route.model_validate({"to": "team", **route})
    subjects = [
        ("check", "db", Severity.CRITICAL),
        ("check", "disk", Severity.WARNING),
        ("gate", "api", Severity.WARNING),
    ]
    labels = {"db": {"team": "data"}, "api": {"team": "web", "tier": "gold"}}
    notices = [
        Notice(n, about, n, "bad", True, severity, n, MIDNIGHT, labels=labels.get(n, {}))  # type: ignore[arg-type]
        for about, n, severity in subjects
    ]
    assert {notice.name for notice in notices if reads.takes(notice)} == taken


async def test_an_unset_variable_is_visible_unless_it_may_be_unset() -> None:
    """A notifier without its address is down in the metrics; an optional one is not there."""
    stage = Stage()
    missing = {"kind": "slack", "__missing__": ["SLACK_WEBHOOK_URL"], "url": None}
    settings = Settings.model_validate(
        {"notifiers": {"team": missing, "maybe": {**missing, "optional": True}}, "routes": [{"to": ["team", "maybe"]}]}
    )
    metrics = Metrics(stage.board, "1", "production")
    notifications = Notifications(settings, board=stage.board, clock=stage.clock, redact=stage.redact, metrics=metrics)
    await notifications.close()
    assert metrics.registry.get_sample_value("healthd_notifier_up", {"notifier": "team"}) == 0
    assert metrics.registry.get_sample_value("healthd_notifier_up", {"notifier": "maybe"}) is None
    assert stage.board.overall() is Status.HEALTHY


async def test_notifications_end_though_a_check_changes_at_that_moment(talk: Talk) -> None:
    """A stop of the daemon that meets a change of a check is no less one."""
    settings = talk.configure(notifiers={"team": CHAT}, routes=[{"to": "team"}])
    notifications = Notifications(
        settings,
        board=talk.board,
        clock=talk.clock,
        redact=talk.redact,
        metrics=Metrics(talk.board, "1", "production"),
    )
    running = asyncio.create_task(notifications.run())
    await asyncio.sleep(2.5)
    notifications.changed()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running}, timeout=10)
    assert running.cancelled()
    await notifications.close()
