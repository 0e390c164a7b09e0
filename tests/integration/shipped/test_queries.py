"""Every query of the dashboards and every alert rule, in a real Prometheus that scrapes a real healthd."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers import prometheus
from tests.servers.gating import Gating, gating, pushing
from tests.servers.tls import Authority, serving
from tests.servers.waiting import NeverHappenedError, until

REPOSITORY = Path(__file__).parents[3]
DASHBOARDS = sorted((REPOSITORY / "grafana" / "dashboards").glob("*.json"))
RULES = REPOSITORY / "deploy" / "prometheus" / "healthd.rules.yml"
VARIABLES = {"__rate_interval": "10s", "__interval": "15s", "__range": "1m"}
"""What Grafana puts in place of its variables; the choice of all otherwise."""


def _filled(query: str) -> str:
    return re.sub(r"\$(\w+)", lambda match: VARIABLES.get(match[1], ".*"), query)


def panel_queries() -> Iterator[tuple[str, str]]:
    """Every query of every panel, with a name for it."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{file.stem}: {panel['title']} {target['refId']}", _filled(target["expr"])


def choice_queries() -> Iterator[tuple[str, str]]:
    """The series from which each variable's choices are taken."""
    for file in DASHBOARDS:
        for variable in json.loads(file.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                series = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"])
                assert series
                yield f"{file.stem}: ${variable['name']}", _filled(series[1])


def mark_queries() -> Iterator[tuple[str, str]]:
    for file in DASHBOARDS:
        for mark in json.loads(file.read_text())["annotations"].get("list", ()):
            yield f"{file.stem}: {mark['name']}", _filled(mark["expr"])


async def _without_data(server: prometheus.Prometheus, queries: Iterator[tuple[str, str]]) -> list[str]:
    return [name for name, query in queries if not await server.query(query)]


async def _rules(server: prometheus.Prometheus) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as client,
        client.get(f"{server.url}/api/v1/rules") as response,
    ):
        groups = (await response.json())["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@asynccontextmanager
async def _watched(folder: Path, authority: Authority) -> AsyncIterator[tuple[Gating, prometheus.Prometheus]]:
    """healthd with checks of several kinds, all well, scraped by a Prometheus that has the rules."""
    async with serving(authority.good(), folder) as tls:
        soon = {"interval": "1s", "timeout": "1s"}
        checks = {
            "fine": {"kind": "process", **soon},
            "disk": {"kind": "disk", "path": "/", "degraded": "99%", "unhealthy": "100%", **soon},
            "certificate": {
                "kind": "tls",
                "host": tls.host,
                "port": tls.port,
                "server_name": "localhost",
                "ca_file": str(authority.trust),
                "degraded": "1s",
                "unhealthy": "1s",
                "critical": True,
                "interval": "1s",
                "timeout": "1s",
            },
        }
        policies = {"pushed": _PUSHED}
        async with gating(folder, checks=checks, policies=policies, services={"api-0": _SERVICE}) as running:
            address = running.daemon.url.removeprefix("http://")
            with prometheus.running({"healthd": [address]}, rules=RULES.read_text()) as server:
                yield running, server


_PUSHED = {
    "initial_delay": "0s",
    "interval": "1s",
    "observe": {"min": "2s", "max": "30s"},
    "criteria": [{"kind": "error_rate", "limit": "5%"}],
}
_SERVICE = {"source": {"kind": "push"}, "policy": "pushed"}


async def test_every_query_has_data(tmp_path: Path, authority: Authority) -> None:
    """A healthy system shows no empty panel, before its first gate and during one; no alert fires there; and a gate
    that fails is told."""
    async with _watched(tmp_path, authority) as (running, server):

        async def complete() -> bool:
            return not await _without_data(server, panel_queries())

        await until(lambda: _has(server, "healthd_group_ready == 1"), "healthd is scraped")
        with suppress(NeverHappenedError):  # the next line says which has none
            await until(complete, "every panel has data")
        assert await _without_data(server, panel_queries()) == []
        assert await _without_data(server, (q for q in choice_queries() if "$service" not in q[0])) == []
        firing = [rule["name"] for rule in await _rules(server) if rule.get("state") == "firing"]
        assert firing == []

        gate = (await running.verify("api-0", "pushed")).body["id"]
        async with running.client() as client, pushing(client, gate, bad=0.5):
            await until(
                lambda: _has(server, 'healthd_gate_last_verdict_timestamp_seconds{verdict="fail"}'), "it fails", 60
            )
        assert await _without_data(server, panel_queries()) == []
        assert await _without_data(server, choice_queries()) == []
        for _, query in mark_queries():
            await server.query(query)
        await until(lambda: _fires(server, "HealthdGateFailed"), "the failed gate is told")
        broken = [(rule["name"], rule.get("lastError")) for rule in await _rules(server) if rule["health"] != "ok"]
        assert broken == []


async def _has(server: prometheus.Prometheus, query: str) -> bool:
    return bool(await server.query(query))


async def _fires(server: prometheus.Prometheus, alert: str) -> bool:
    return any(rule["name"] == alert and rule.get("state") == "firing" for rule in await _rules(server))
