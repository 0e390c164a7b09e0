"""What each kind of notifier sends, to a peer of the test's own and to a real Alertmanager."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import DeliveryError, Notifier, NotifierContext
from healthd.notifiers.notice import Notice, Severity
from healthd.runtime.clock import SystemClock
from tests.servers import alertmanager, daemon
from tests.servers.peers import Answer, Peer
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until

SINCE = datetime(2026, 3, 29, 3, 0, tzinfo=UTC)
DOWN = Notice(
    "check:db",
    "check",
    "db",
    "unhealthy",
    True,
    Severity.CRITICAL,
    "db is unhealthy",
    SINCE,
    "refused <@everyone> & gone",
    facts={"kind": "postgresql", "failure": "connect"},
    link="https://wiki.test/db",
    page="https://healthd.test/checks/db",
)
WELL = replace(DOWN, standing="healthy", firing=False, severity=Severity.INFO, summary="db is healthy")
GATE = Notice(
    "gate:api",
    "gate",
    "api",
    "fail g1",
    True,
    Severity.WARNING,
    "api 2.0 failed",
    SINCE,
    "Too many errors.",
    began=SINCE - timedelta(minutes=2),
    facts={"version": "2.0"},
)


@asynccontextmanager
async def notifying(kind: str, **options: Any) -> AsyncIterator[Notifier]:
    notifier = NOTIFIERS.find(kind)
    async with aiohttp.ClientSession() as session:
        config = notifier.config_model.model_validate({"kind": kind, **options})
        yield notifier(config, NotifierContext(session, SystemClock(), "production", "host-1"))


def _posted(peer: Peer) -> list[Any]:
    return [received.json() for received in peer.received]


async def test_slack_is_sent_one_message_that_mentions_nobody(peer: Peer) -> None:
    """Two notices are one message; what a dependency says is text, not markup."""
    peer.answer("POST", "/hook", Answer(200, body="ok"))
    async with notifying("slack", url=f"{peer.url}/hook") as slack:
        await slack.send([DOWN, GATE])
    (message,) = _posted(peer)
    assert message["text"] == "[production] CRITICAL: db is unhealthy; also 1 firing: api"
    first = message["attachments"][0]["blocks"][0]["text"]["text"]
    assert "CRITICAL: db is unhealthy" in first
    assert "refused &lt;@everyone&gt; &amp; gone" in first
    assert "since 2026-03-29 03:00:00 UTC (kind postgresql, failure connect)" in first


async def test_webhook_is_sent_cloud_events(peer: Peer) -> None:
    """Structured mode, one a notice, with an id that a repetition shares."""
    peer.answer("POST", "/events", Answer(202))
    async with notifying("webhook", url=f"{peer.url}/events", token="event-token") as webhook:
        await webhook.send([DOWN])
        await webhook.send([DOWN, WELL])
    first, again, end = _posted(peer)
    assert first == again
    assert {key: first[key] for key in ("specversion", "type", "subject", "source", "time", "datacontenttype")} == {
        "specversion": "1.0",
        "type": "healthd.check.firing",
        "subject": "db",
        "source": "/healthd/production/host-1",
        "time": "2026-03-29T03:00:00+00:00",
        "datacontenttype": "application/json",
    }
    assert first["data"]["severity"] == "critical"
    assert (first["data"]["link"], first["data"]["page"]) == (DOWN.link, DOWN.page)
    assert end["id"] != first["id"]
    assert end["type"] == "healthd.check.over"
    headers = peer.received[0].headers
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["Authorization"] == "Bearer event-token"


async def test_sendgrid_is_sent_a_mail(peer: Peer) -> None:
    """To everybody, in plain text, with nothing tracked."""
    peer.answer("POST", "/v3/mail/send", Answer(202))
    people = ["a@example.test", "b@example.test"]
    options = {"key": "SG.key", "from": "healthd@example.test", "to": people, "base_url": peer.url}
    async with notifying("sendgrid", **options) as sendgrid:
        await sendgrid.send([DOWN])
    (mail,) = _posted(peer)
    assert mail["subject"] == "[production] CRITICAL: db is unhealthy"
    assert [to["email"] for to in mail["personalizations"][0]["to"]] == people
    assert mail["content"][0]["type"] == "text/plain"
    assert "https://wiki.test/db" in mail["content"][0]["value"]
    assert peer.received[0].headers["Authorization"] == "Bearer SG.key"


async def test_pagerduty_triggers_and_resolves_one_incident(peer: Peer) -> None:
    """The end has the key of the beginning, which every replica shares."""
    peer.answer("POST", "/v2/enqueue", Answer(202, json={"status": "success"}))
    async with notifying("pagerduty", routing_key="R0UTING", url=f"{peer.url}/v2/enqueue") as pagerduty:
        await pagerduty.send([DOWN])
        await pagerduty.send([WELL])
    trigger, resolve = _posted(peer)
    assert trigger["event_action"] == "trigger"
    assert trigger["payload"]["severity"] == "critical"
    assert trigger["payload"]["source"] == "production"
    assert resolve == {
        "routing_key": "R0UTING",
        "event_action": "resolve",
        "dedup_key": trigger["dedup_key"],
    }


async def test_pagerduty_has_a_runbook_that_is_no_address_as_a_text(peer: Peer) -> None:
    """A link is one that a browser can follow."""
    peer.answer("POST", "/v2/enqueue", Answer(202, json={"status": "success"}))
    async with notifying("pagerduty", routing_key="R0UTING", url=f"{peer.url}/v2/enqueue") as pagerduty:
        await pagerduty.send([DOWN])
        await pagerduty.send([replace(DOWN, link="see wiki: db")])
    linked, told = _posted(peer)
    assert linked["links"] == [{"href": "https://wiki.test/db", "text": "Runbook or deploy"}]
    assert told["links"] == []
    assert told["payload"]["custom_details"]["runbook or deploy"] == "see wiki: db"


async def test_sentry_is_sent_a_message(peer: Peer) -> None:
    """As an envelope to the DSN's project; what concerns one subject is one issue."""
    peer.answer("POST", "/api/42/envelope/", Answer(200, json={}))
    async with notifying("sentry", dsn=f"http://public@{HOST}:{peer.port}/42") as sentry:
        await sentry.send([DOWN])
    (received,) = peer.received
    *_, event = [json.loads(line) for line in received.body.splitlines()]
    assert event["logentry"] == {"message": "db is unhealthy"}
    assert event["level"] == "error"
    assert event["fingerprint"] == ["healthd", "production", "check:db"]
    assert "sentry_key=public" in received.headers["X-Sentry-Auth"]


async def test_grafana_is_sent_an_annotation(peer: Peer) -> None:
    """From the start of the gate to its verdict, in milliseconds."""
    peer.answer("POST", "/api/annotations", Answer(200, json={"id": 1}))
    async with notifying("grafana", url=peer.url, token="glsa_token") as grafana:
        await grafana.send([GATE])
    (annotation,) = _posted(peer)
    assert annotation["timeEnd"] == SINCE.timestamp() * 1000
    assert annotation["timeEnd"] - annotation["time"] == 120_000
    assert {"healthd", "gate", "api", "production"} <= set(annotation["tags"])
    assert annotation["text"] == "api 2.0 failed\nToo many errors."


@pytest.mark.parametrize(
    ("answer", "final", "retry_after", "lost"),
    [
        (Answer(400, body="invalid_payload"), True, None, False),
        (Answer(403, body="invalid_token"), False, None, False),
        (Answer(429, headers={"Retry-After": "30"}), False, 30.0, False),
        (Answer(503), False, None, False),
        (Answer(504), False, None, True),
        (Answer(302, headers={"Location": "http://127.0.0.1:1/"}), False, None, False),
        (Answer(hang_up=True), False, None, True),
    ],
)
async def test_refusals_are_told_apart(
    peer: Peer, answer: Answer, final: bool, retry_after: float | None, lost: bool
) -> None:
    """What would be refused again is given up, anything else is worth another try; no message holds the address. Where
    the answer was lost it may have been taken."""
    peer.answer("POST", "/hook/s3cret-path", answer)
    async with notifying("slack", url=f"{peer.url}/hook/s3cret-path") as slack:
        with pytest.raises(DeliveryError) as refusal:
            await slack.send([DOWN])
    assert (refusal.value.final, refusal.value.retry_after) == (final, retry_after)
    assert refusal.value.perhaps_taken is lost
    assert "s3cret-path" not in str(refusal.value)


async def test_a_closed_port_has_taken_nothing() -> None:
    async with notifying("slack", url=f"http://{HOST}:{free_port()}/hook") as slack:
        with pytest.raises(DeliveryError) as refusal:
            await slack.send([DOWN])
    assert not refusal.value.perhaps_taken


async def test_alertmanager_receives_and_resolves() -> None:
    """A real one: one alert for a subject whatever its severity becomes, and none when it is over."""
    with alertmanager.running() as server:
        async with notifying("alertmanager", url=server.url, labels={"team": "on-call-team"}) as notifier:
            await notifier.send([WELL])
            assert await server.alerts() == []
            await notifier.send([replace(DOWN, since=datetime.now(UTC))])
            (alert,) = await server.alerts()
            assert alert["labels"] == {
                "alertname": "HealthdCheck",
                "check": "db",
                "environment": "production",
                "severity": "critical",
                "team": "on-call-team",
            }
            assert alert["annotations"]["runbook_url"] == "https://wiki.test/db"
            lapses = datetime.fromisoformat(alert["endsAt"]) - datetime.now(UTC)
            assert timedelta(minutes=3) < lapses < timedelta(minutes=5)
            await notifier.send([slower := replace(DOWN, standing="degraded", severity=Severity.WARNING, before=DOWN)])
            (alert,) = await server.alerts()
            assert alert["labels"]["severity"] == "warning"
            await notifier.send([replace(WELL, before=slower)])
            await until(lambda: _none_of(server), "the alert is resolved")


async def _none_of(server: alertmanager.Alertmanager) -> bool:
    return not await server.alerts()


async def test_the_daemon_tells_and_a_dead_notifier_disturbs_nothing(peer: Peer, tmp_path: Path) -> None:
    """A check that fails reaches a real Alertmanager and, through it, a person; one notifier is dead and shows it;
    health is served all the while; and no secret is in the log or the metrics."""
    peer.fallback = Answer(200)
    port = free_port()
    soon = {"interval": "1s", "timeout": "1s", "fall": 1, "rise": 1, "critical": True}
    with alertmanager.running(f"{peer.url}/pager") as server:
        configuration = {
            "environment": "production",
            "journal": f"sqlite:///{tmp_path / 'journal.db'}",
            "gates": {"enabled": False},
            "checks": {"db": {"kind": "tcp", "host": HOST, "port": port, **soon}},
            "notifiers": {
                "on-call-team": {"kind": "alertmanager", "url": server.url, "group_wait": "100ms"},
                "chat": {"kind": "slack", "url": f"http://{HOST}:{free_port()}/s3cret-path", "group_wait": "100ms"},
            },
            "routes": [{"to": ["on-call-team", "chat"]}],
        }
        async with daemon.running(configuration) as healthd:
            await until(lambda: _paged(peer, "firing"), "somebody is called")
            async with aiohttp.ClientSession() as client:

                async def metrics() -> str:
                    async with client.get(f"{healthd.url}/metrics") as response:
                        return await response.text()

                async def shown() -> bool:
                    return 'healthd_notifier_up{notifier="chat"} 0.0' in await metrics()

                await until(shown, "the dead notifier is seen")
                text = await metrics()
                assert 'healthd_notifier_up{notifier="on-call-team"} 1.0' in text
                assert 'healthd_notifications_queue_length{notifier="chat"} 1.0' in text
                async with client.get(f"{healthd.url}/health") as response:
                    assert response.status == 503
            listener = await asyncio.start_server(lambda _, writer: writer.close(), HOST, port)
            async with listener:
                await until(lambda: _paged(peer, "resolved"), "the end is told")
            assert "notifier delivery failed" in healthd.log()
            assert "s3cret-path" not in healthd.log() + text


def _paged(peer: Peer, status: str) -> bool:
    return any(received.json()["status"] == status for received in peer.received)  # type: ignore[index]
