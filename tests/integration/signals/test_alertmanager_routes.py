"""The example configuration of Alertmanager, in a real one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

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
    now = datetime.now(UTC)
    return {
        "labels": labels,
        "startsAt": (now - timedelta(seconds=5)).isoformat(),
        **({"endsAt": ends.isoformat()} if ends else {}),
    }


async def test_each_environment_reaches_its_team_once(peer: Peer) -> None:
    """Two replicas that see one fault are one call to the on-call-team; staging's is the qa-team's; and the end of
    it is told."""
    peer.fallback = Answer(200)
    text = (
        EXAMPLE.read_text()
        .replace("group_wait: 15s", "group_wait: 300ms")
        .replace("group_interval: 1m", "group_interval: 1s")
    )
    for host in ("chat.example", "pager.example"):
        text = text.replace(f"http://{host}", peer.url)
    with alertmanager.running(configuration=text) as server:

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
        await until(lambda: bool(told("on-call-team", "firing") and told("qa-team", "firing")), "both are told", 20)
        assert told("on-call-team", "firing") == [["h1", "h2"]]
        assert told("qa-team", "firing") == [["s1"]]
        assert not told("development-team", "firing")
        over = datetime.now(UTC)
        await post(*(_alert("production", "on-call-team", instance, over) for instance in ("h1", "h2")))
        await until(lambda: told("on-call-team", "resolved") == [["h1", "h2"]], "the end is told", 20)
