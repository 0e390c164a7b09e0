"""The example configuration of Alertmanager, in a real one."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import NotifierContext
from healthd.notifiers.notice import Notice, Severity
from healthd.runtime.clock import SystemClock
from tests.servers import alertmanager
from tests.servers.peers import Answer, Peer
from tests.servers.waiting import until

EXAMPLE = Path(__file__).parents[3] / "deploy" / "prometheus" / "alertmanager.yml"


def _alert(environment: str, team: str, instance: str, ends: datetime | None = None) -> dict[str, Any]:
    labels = {
        "alertname": "HealthdCheckUnhealthy",
        "check": "db",
        "environment": environment,
        "team": team,
        "instance": instance,
        "severity": "critical",
    }
    # Alertmanager does not gather what began longer than group_wait ago.
    begins = ends - timedelta(seconds=5) if ends else datetime.now(UTC)
    return {
        "labels": labels,
        "startsAt": begins.isoformat(),
        **({"endsAt": ends.isoformat()} if ends else {}),
    }


def _example(peer: Peer) -> str:
    """The shipped file with short waits, and receivers of the test's own."""
    text = (
        EXAMPLE.read_text()
        .replace("group_wait: 15s", "group_wait: 2s")
        .replace("group_interval: 1m", "group_interval: 1s")
    )
    for host in ("chat.example", "pager.example"):
        text = text.replace(f"http://{host}", peer.url)
    return text


async def test_each_environment_reaches_its_team_once(peer: Peer) -> None:
    """Two replicas that see one fault are one call to the on-call-team; staging's is the qa-team's; and the end of
    it is told."""
    peer.fallback = Answer(200)
    with alertmanager.running(configuration=_example(peer)) as server:

        async def post(*alerts: dict[str, Any]) -> None:
            async with (
                aiohttp.ClientSession(raise_for_status=True) as client,
                client.post(f"{server.url}/api/v2/alerts", json=alerts),
            ):
                pass

        def told(team: str, status: str) -> list[list[str]]:
            said = [received.json() for received in peer.received if received.path == f"/{team}"]
            return [
                sorted(alert["labels"]["instance"] for alert in message["alerts"])
                for message in said
                if isinstance(message, dict) and message["status"] == status
            ]

        await post(
            _alert("production", "on-call-team", "h1"),
            _alert("production", "on-call-team", "h2"),
            _alert("staging", "qa-team", "s1"),
        )
        await until(lambda: bool(told("on-call-team", "firing") and told("qa-team", "firing")), "both are told")
        assert told("on-call-team", "firing") == [["h1", "h2"]]
        assert told("qa-team", "firing") == [["s1"]]
        assert not told("development-team", "firing")
        over = datetime.now(UTC)
        await post(*(_alert("production", "on-call-team", instance, over) for instance in ("h1", "h2")))
        await until(lambda: told("on-call-team", "resolved") == [["h1", "h2"]], "the end is told")


DOWN = Notice(
    "check:db",
    "check",
    "db",
    "unhealthy",
    True,
    Severity.CRITICAL,
    "db is unhealthy",
    datetime.now(UTC),
    link="https://w",
)
FAILED = replace(DOWN, key="gate:api", about="gate", name="api", severity=Severity.WARNING, summary="api 2.0 failed")
ROLLBACK = replace(
    DOWN,
    key="rollback:api",
    about="rollback",
    name="api",
    summary="api 2.0 could not be rolled back",
    facts={"gate": "01a2", "version": "2.0", "state": "rollback_failed"},
    link="https://ci.test/7",
)
RULES = {
    "HealthdCheckUnhealthy": {"check": "db", "severity": "critical", "instance": "h1"},
    "HealthdNotReady": {"severity": "warning", "instance": "h1"},
    "HealthdNoReplicaReady": {"severity": "critical"},
    "HealthdGateFailed": {"service": "api", "severity": "warning", "instance": "h1"},
    "HealthdRollbackFailed": {"service": "api", "severity": "critical", "instance": "h1"},
    "HealthdRollbackSlow": {"service": "api", "severity": "critical", "instance": "h1"},
}
OTHERS = {"HealthdCheckUnhealthy": {"check": "redis", "severity": "warning", "instance": "h1"}}


async def test_a_fault_that_two_roads_lead_from_is_told_once(peer: Peer) -> None:
    """By healthd itself, whose alert has the gate's id; by the rules when that falls silent. Another fault is told."""
    peer.fallback = Answer(200)
    with alertmanager.running(configuration=_example(peer)) as server:
        async with aiohttp.ClientSession(raise_for_status=True) as client:

            async def post(rules: dict[str, dict[str, str]]) -> None:
                common = {"environment": "production", "team": "on-call-team"}
                alerts = [{"labels": {"alertname": name, **common, **labels}} for name, labels in rules.items()]
                async with client.post(f"{server.url}/api/v2/alerts", json=alerts):
                    pass

            def told() -> set[tuple[str, str]]:
                messages = [received.json() for received in peer.received]
                return {
                    (alert["labels"]["alertname"], alert["labels"].get("check", ""))
                    for message in messages
                    if isinstance(message, dict)
                    for alert in message["alerts"]
                    if alert["status"] == "firing"
                }

            config = NOTIFIERS.find("alertmanager").config_model.model_validate(
                {"kind": "alertmanager", "url": server.url, "labels": {"team": "on-call-team"}}
            )
            context = NotifierContext(client, SystemClock(), "production", "h1")
            notifier = NOTIFIERS.find("alertmanager")(config, context)
            await notifier.send([DOWN, FAILED, ROLLBACK])
            own = {("HealthdCheck", "db"), ("HealthdGate", ""), ("HealthdRollback", "")}
            await until(lambda: told() == own, "healthd's own alerts are told")
            await post(RULES)
            await post(OTHERS)
            other = own | {("HealthdCheckUnhealthy", "redis")}
            await until(lambda: told() >= other, "another fault is told")
            await asyncio.sleep(2)
            assert told() == other
            (rollback,) = [it for it in await server.alerts() if it["labels"]["alertname"] == "HealthdRollback"]
            annotations = rollback["annotations"]
            assert (annotations["gate"], annotations["version"], annotations["state"]) == (
                "01a2",
                "2.0",
                "rollback_failed",
            )
            assert annotations["deploy_url"] == "https://ci.test/7"
            assert "runbook_url" not in annotations
            await notifier.send([replace(DOWN, firing=False, before=DOWN)])
            await until(lambda: ("HealthdCheckUnhealthy", "db") in told(), "the rule's alert is heard")
