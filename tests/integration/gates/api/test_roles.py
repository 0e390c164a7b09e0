"""Every call by every role, on a service of its own and on another team's. The calls are those of the description, so
that a new one is in the table as soon as there is one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import TestClient, TestServer

from healthd.checks.heartbeat_record import Records
from healthd.config.auth_grant import ROLES
from healthd.journal.heartbeats import HeartbeatStore
from healthd.journal.incidents import IncidentStore
from healthd.journal.past import Past
from healthd.journal.windows import WindowStore
from healthd.metrics import Metrics
from healthd.monitoring.heartbeats import Heartbeats
from healthd.monitoring.incidents import Incidents
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from healthd.monitoring.windows import Windows
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.web import own_calls, server
from healthd.web.auth import Guard, hash_token
from healthd.web.checks_api import ChecksApi
from healthd.web.description import Described
from healthd.web.health import HealthEndpoints
from healthd.web.heartbeats_api import HeartbeatsApi
from healthd.web.history_api import HistoryApi
from healthd.web.incidents_api import IncidentsApi
from healthd.web.public.membership import Memberships
from healthd.web.public.writing import Writing
from healthd.web.windows_api import WindowsApi
from healthd_gates.api.rate_limit import Rate
from healthd_gates.config.settings import Config
from healthd_gates.router import GateApi
from tests.fakes.gates import request, start_replica
from tests.servers.gating import POLICIES

TEAMS = {"own": "shop", "foreign": "mail"}
HOOKS = {
    "flagger": ("canaries", "team/{service}"),
    "argo_rollouts": ("rollouts", "team/{service}"),
    "spinnaker": ("stages", "{service}"),
    "codedeploy": ("services", "{service}"),
}
SIGNED = {"/hooks/github/{hook}"}  # no token opens it
EXPIRED = "2001-01-01T00:00:00Z"
BOUND = {"services": ["shop"], "checks": ["shop"]}


def _configuration() -> Config:
    hooks: dict[str, Any] = {
        f"{kind.replace('_', '-')}-{service}": {
            "kind": kind,
            key: {name.format(service=service): {"service": service}},
        }
        for kind, (key, name) in HOOKS.items()
        for service in TEAMS.values()
    }
    for service in TEAMS.values():
        stages = {"POST_PRODUCTION_TRAFFIC_SHIFT": {"service": service}}
        hooks[f"ecs-{service}"] = {"kind": "ecs", "services": {f"main/{service}": stages}}
    hooks["datadog"] = {"kind": "datadog", "gates": {f"{name}/prod": {"service": name} for name in TEAMS.values()}}
    tokens: list[dict[str, Any]] = [{"name": role, "role": role, **BOUND} for role in ROLES]
    tokens += [
        {"name": "free", "role": "operator"},
        {"name": "labelled", "role": "operator", "labels": {"team": "shop"}},
        {"name": "checks-alone", "role": "operator", "checks": "shop"},
        {"name": "ended", "role": "admin", "expires": EXPIRED},
        {"name": "elsewhere", "role": "admin", "environments": ["production"]},
    ]
    return Config.model_validate(
        {
            "environment": "staging",
            "auth": {"tokens": [{**token, "hash": hash_token(str(token["name"]))} for token in tokens]},
            "checks": {
                **{name: {"kind": "heartbeat", "period": "1h", "labels": {"team": name}} for name in TEAMS.values()},
                "fine": {"kind": "process"},
                "dead": {"kind": "process"},
            },
            "actions": {"back": {"kind": "webhook", "url": "http://127.0.0.1:1/"}},
            "policies": POLICIES,
            "public_pages": {"status": {"components": [{"name": it, "checks": [it]} for it in TEAMS.values()]}},
            "services": {
                name: {
                    "source": {"kind": "push"},
                    "sources": {"telemetry": {"kind": "otlp"}},
                    "policy": "endless",
                    "labels": {"team": name},
                    "on_fail": ["back"],
                }
                for name in TEAMS.values()
            },
            "hooks": hooks,
        }
    )


class Stand:
    """The calls of a daemon, a gate of each service, and a window on each check."""

    def __init__(self, client: TestClient[Any, Any], api: GateApi, subjects: dict[str, dict[str, str]]) -> None:
        self.client, self.subjects = client, subjects
        described: list[Described] = [*own_calls.descriptions(), *api.operations]
        self.calls = {(it.method, it.path): it.scope for it in described}

    async def status(self, method: str, path: str, team: str, token: str) -> int:
        subject = self.subjects[team]
        dialect = path.split("/")[2] if path.startswith("/hooks/") else ""
        parts = {**subject, "hook": f"{dialect}-{subject['service']}", "webhook": "rollout", "action": "back"}
        body: Any = {"service": subject["service"], "candidate": {"version": "9"}}
        match path:
            case "/windows":
                body = {"kind": "silence", "checks": [subject["service"]], "for": "1m", "reason": "x"}
            case "/incidents":
                body = {"title": "x", "components": [subject["service"]]}
            case "/incidents/{incident}/updates":
                body = {"text": "x"}
            case "/actions/{action}/test":
                body = {"service": subject["service"]}
            case "/v1/metrics" | "/v1/traces":
                named = {"key": "service.name", "value": {"stringValue": subject["service"]}}
                kind = "resourceMetrics" if path == "/v1/metrics" else "resourceSpans"
                body = {kind: [{"resource": {"attributes": [named]}}]}
            case "/api/v2/deployments/gates/evaluation":
                attributes = {"service": subject["service"], "env": "prod", "version": "9"}
                body = {"data": {"type": "deployment_gates_evaluation_request", "attributes": attributes}}
        headers = {"Authorization": f"Bearer {token}"}
        sent = None if method in ("GET", "OPTIONS", "DELETE") else body
        async with self.client.request(method, path.format(**parts), json=sent, headers=headers) as response:
            return response.status


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    config, clock = _configuration(), SystemClock()
    replica = await start_replica(tmp_path / "journal.db", config, clock)
    guard = Guard(replica.in_force)
    suite = Suite(
        board=replica.board,
        schedule=Schedule(lambda *_: None),
        clock=clock,
        redact=Redactor(),
        listener=Mock(),
        environ={},
        heartbeats=(records := Records()),
    )
    await suite.arrange(config)
    api = GateApi(replica.keeper, replica.gates.runs, guard, clock, Rate(per_second=1e6, burst=1e6))
    windows = Windows(replica.board, WindowStore(replica.database, clock), clock)
    labels = {name: service.labels for name, service in config.services.items()}
    windows_api = WindowsApi(windows, replica.board, guard, clock, lambda: labels)
    heartbeats = HeartbeatsApi(
        Heartbeats(records, HeartbeatStore(replica.database, clock), clock, lambda: list(TEAMS.values())),
        suite, replica.board, guard, replica.in_force, clock, Redactor(),
    )  # fmt: skip
    incidents = Incidents(IncidentStore(replica.database, clock), clock, lambda: 3600)
    writing = Writing(incidents, windows_api, replica.in_force, Memberships(replica.in_force), clock, Redactor())
    incidents_api = IncidentsApi(incidents, writing, guard)
    past = HistoryApi(Past(replica.database), replica.board, guard, replica.in_force, clock, Redactor())
    health = HealthEndpoints(replica.board, guard, replica.in_force, clock, stuck=tuple)
    app = server.build(
        health,
        ChecksApi(suite, replica.board, guard),
        Metrics(replica.board, "1", "t"),
        [*api.routes(), *windows_api.routes(), *heartbeats.routes(), *past.routes(), *incidents_api.routes()],
    )
    client = TestClient(TestServer(app))
    await client.start_server()
    subjects = {}
    for team, service in TEAMS.items():
        gate = await replica.keeper.start(request(service, policy="endless"), caller="ci")
        body = {"kind": "silence", "checks": [service], "for": "1h", "reason": "x"}
        added = await client.post("/windows", json=body, headers={"Authorization": "Bearer free"})
        key = (await added.json())["id"]
        body = {"title": "x", "components": [service]}
        added = await client.post("/incidents", json=body, headers={"Authorization": "Bearer free"})
        subjects[team] = {
            "service": service,
            "name": service,
            "gate_id": gate.id,
            "group": "ready",
            "id": key,
            "incident": (await added.json())["id"],
            "key": "0" * 24,
            "signal": "start",
        }
    yield Stand(client, api, subjects)
    await client.close()
    await suite.close()
    await replica.stop()


async def test_every_call_by_every_role_on_own_and_foreign_services(stand: Stand) -> None:
    """403 for what the role lacks, and for what is another team's unless it only reads."""
    wrong = {}
    for (method, path), scope in stand.calls.items():
        if path in SIGNED:
            continue
        for role, scopes in ROLES.items():
            for team in ("foreign", "own"):
                has_scope = scope is None or scope in scopes or "admin" in scopes
                bound = scope is not None and not scope.endswith(":read") and team == "foreign"
                expected = has_scope and not bound
                status = await stand.status(method, path, team, role)
                if (status not in (401, 403)) != expected:
                    wrong[f"{method} {path} by a {role} on a service of its {team}"] = status
    assert wrong == {}


@pytest.mark.parametrize(
    ("token", "own", "foreign"),
    [
        ("free", (202, 200, 200), (202, 200, 200)),
        ("labelled", (202, 200, 200), (403, 403, 403)),
        ("checks-alone", (403, 403, 200), (403, 403, 403)),
        ("ended", (401, 401, 401), (401, 401, 401)),
        ("elsewhere", (401, 401, 401), (401, 401, 401)),
    ],
)
async def test_what_a_token_is_bound_to(
    stand: Stand, token: str, own: tuple[int, ...], foreign: tuple[int, ...]
) -> None:
    """To labels, to names of one kind alone, to a time, to an environment."""
    calls = [("POST", "/gates/{gate_id}/evidence"), ("POST", "/gates/{gate_id}/cancel"), ("POST", "/checks/{name}/run")]
    for team, expected in (("own", own), ("foreign", foreign)):
        assert len(calls) == len(expected)
        for (method, path), status in zip(calls, expected, strict=True):
            answered = await stand.status(method, path, team, token)
            assert answered == status or (answered == 422 and status in (200, 202)), (path, team)


async def test_the_refusal_names_the_cure(stand: Stand) -> None:
    """The service, and to what the token is bound; when it ended; where it would be valid."""
    said = []
    for token in ("deployer", "ended", "elsewhere"):
        answer = await stand.client.delete("/locks/mail?holder=x", headers={"Authorization": f"Bearer {token}"})
        said.append((await answer.json(content_type=None))["detail"])
    assert said == [
        "token 'deployer' may not change the service mail: it is bound to services shop and checks shop",
        "token 'ended' is refused since 2001-01-01T00:00:00.000Z: make another one",
        "token 'elsewhere' is not valid in the environment staging",
    ]
