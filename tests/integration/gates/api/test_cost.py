"""Processor time of the worst that can be sent to each call: an event loop that is held up answers no probe.

The calls are the routes of the application itself, so that a new one is measured as soon as there is one.
"""

import asyncio
import gc
import hashlib
import hmac
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web

from healthd.checks.heartbeat_record import Records
from healthd.journal.heartbeats import HeartbeatStore
from healthd.journal.incidents import IncidentStore
from healthd.journal.journal import Journal
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
from healthd.web import server
from healthd.web.auth import Guard, hash_token
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints
from healthd.web.heartbeats_api import HeartbeatsApi
from healthd.web.history_api import HistoryApi
from healthd.web.incidents_api import IncidentsApi
from healthd.web.pages.api_docs import ApiDocs
from healthd.web.pages.check import CheckPages
from healthd.web.pages.renderer import Renderer
from healthd.web.pages.status import StatusPage
from healthd.web.pages.stream import Streams
from healthd.web.public.incident_page import IncidentPage
from healthd.web.public.membership import Memberships
from healthd.web.public.page import PublicPages
from healthd.web.public.past import PublicPast
from healthd.web.public.writing import Writing
from healthd.web.refusals import Refusals
from healthd.web.windows_api import WindowsApi
from healthd_gates.api.rate_limit import Rate
from healthd_gates.config.settings import Config
from healthd_gates.pages.acts import GateActs
from healthd_gates.pages.gate_history import GateHistories
from healthd_gates.pages.page import GatePage
from healthd_gates.pages.recent import RecentGates
from healthd_gates.router import GateApi
from tests.fakes.gates import request, start_replica
from tests.servers.gating import POLICIES, SERVICES, hooks

KIB = 1024
BOUND = 0.02  # seconds of the processor, for what callers of a token or none may send
SIGNED = 0.12  # for half a MiB, which only who has the secret of a GitHub hook can have read
SECRET = "the secret of the hook"
GITHUB = {
    "kind": "github",
    "secret": SECRET,
    "token": "t",
    "rules": [{"environment": "production", "service": "api-0"}],
}
KNOWN = {"gate_id": "01a20536dbf72a9212297f7ca274602e", "service": "api-0", "name": "fine", "group": "ready"}
KNOWN |= {"webhook": "rollout", "action": "back", "digest": "0123456789abcdef", "file": "page.css"}
KNOWN |= {"incident": "0f", "form": "atom"}
KNOWN |= {"key": "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278", "signal": "fail", "id": "0f"}


def _unlike_keys(size: int) -> bytes:
    keys = [f'"k{n}":0' for n in range(size // 10)]
    return ("{" + ",".join(keys)[: size - 20].rpartition(",")[0] + ',"k0":1}').encode()


def _text(unit: str) -> Callable[[int], bytes]:
    """Every field that any call knows, with a text that is costly to clean or to match."""

    def made(size: int) -> bytes:
        fields = ("service", "reason", "verdict", "id", "name", "key", "phase", "checksum", "stage", "execution")
        text = (unit * size)[: max(1, size // len(fields) - 20)]
        return json.dumps(dict.fromkeys(fields, text)).encode()[:size]

    return made


BODIES: dict[str, Callable[[int], bytes]] = {
    "a key twice, at the end": _unlike_keys,
    "nested": lambda size: b'{"a":' * (size // 6) + b"0" + b"}" * (size // 6),
    "lists": lambda size: b'{"labels":[' + b"[]," * (size // 3 - 8) + b"0]}",
    "a long number": lambda size: b'{"id":' + b"9" * (size - 8) + b"}",
    "many numbers": lambda size: b'{"candidate":{"latency":{"edges":[' + b"1e9," * (size // 4 - 12) + b"1]}}}",
    "hyphens": _text("a-"),
    "passwords": _text("password="),
    "escapes": lambda size: b'{"reason":"' + b"\\u2028" * (size // 6 - 3) + b'"}',
    "no JSON": lambda size: b"{" * size,
    "no UTF-8": lambda size: b"\xff" * size,
}
TAILS: dict[str, Callable[[int], str]] = {
    "hyphens": lambda size: "a-" * (size // 2),
    "percents": lambda size: "%2e" * (size // 3),
    "parameters": lambda size: "?" + "&".join(f"p{n}={n}" for n in range(size // 10)),
    "dots": lambda size: "../" * (size // 3),
}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[web.Application]:
    """All calls of a daemon with every dialect and one admin."""
    config = Config.model_validate(
        {
            "services": {f"api-{n}": {"source": {"kind": "push"}, "policy": "endless"} for n in range(SERVICES)}
            | {"told": {"source": {"kind": "otlp"}}},
            "policies": POLICIES,
            "checks": {
                "fine": {"kind": "process"},
                "dead": {"kind": "process"},
                "job": {"kind": "heartbeat", "period": "1h", "key": KNOWN["key"]},
            },
            "public_pages": {
                "fine": {
                    "url": "https://status.example.com",
                    "components": [{"name": f"Part {n}", "checks": ["fine", "dead"]} for n in range(50)],
                }
            },
            "hooks": {**hooks(SERVICES), "github": GITHUB},
            "auth": {"tokens": [{"name": "admin", "hash": hash_token("admin"), "scopes": ["admin"]}]},
        }
    )
    clock = SystemClock()
    replica = await start_replica(tmp_path / "journal.db", config, clock)
    refusals = Refusals()
    guard = Guard(replica.in_force, refusals)
    records = Records()
    suite = Suite(
        board=replica.board,
        schedule=Schedule(lambda *_: None),
        clock=clock,
        redact=Redactor(),
        listener=Mock(),
        environ={},
        heartbeats=records,
    )
    await suite.arrange(config)
    health = HealthEndpoints(replica.board, guard, replica.in_force, clock, stuck=tuple)
    api = GateApi(replica.keeper, replica.gates.runs, guard, clock, Rate(per_second=1e6, burst=1e6))
    renderer, streams = Renderer(), Streams(clock)
    status = StatusPage(
        board=replica.board,
        health=health,
        guard=guard,
        settings=replica.in_force,
        clock=clock,
        journal=Journal(replica.database, clock, lambda: config.retention),
        renderer=renderer,
        streams=streams,
    )
    status.deploys = RecentGates(replica.keeper)
    histories = GateHistories(replica.keeper, replica.gates.gate_store, replica.gates.outbox)
    docs = ApiDocs(renderer)
    docs.add(api.operations)
    gate_page = GatePage(histories, api.reach, guard, clock, renderer, streams)
    acts = GateActs(replica.keeper, api.reach, guard, renderer)
    KNOWN["shown"] = (await replica.keeper.start(request("api-0", policy="endless"), caller="ci")).id
    kept = Windows(replica.board, WindowStore(replica.database, clock), clock)
    await kept._load()  # an unknown id is 503 until then
    windows = WindowsApi(
        kept, replica.board, guard, clock, lambda: {name: service.labels for name, service in config.services.items()},
    )  # fmt: skip
    heartbeats = HeartbeatsApi(
        Heartbeats(records, HeartbeatStore(replica.database, clock), clock, lambda: ["job"]),
        suite, replica.board, guard, replica.in_force, clock, Redactor(),
    )  # fmt: skip
    past = HistoryApi(Past(replica.database), replica.board, guard, replica.in_force, clock, Redactor())
    check_pages = CheckPages(replica.board, health, guard, clock, status.history, past, renderer)
    incidents = Incidents(IncidentStore(replica.database, clock), clock, lambda: config.retention)
    await incidents._load()  # feeds are 503 until then
    memberships = Memberships(replica.in_force)
    public = PublicPages(
        board=replica.board,
        settings=replica.in_force,
        clock=clock,
        past=PublicPast(Past(replica.database), replica.board, replica.in_force, clock, memberships),
        incidents=incidents,
        windows=list,
        memberships=memberships,
        renderer=renderer,
    )
    writing = Writing(incidents, windows, replica.in_force, memberships, clock, Redactor())
    page = IncidentPage(incidents, writing, guard, replica.in_force, clock, renderer)
    told = [*public.routes(), *page.routes(), *IncidentsApi(incidents, writing, guard).routes()]
    daemons = [*windows.routes(), *heartbeats.routes(), *past.routes(), *check_pages.routes(), *told]
    routes = [*daemons, *api.routes(), *status.routes(), *docs.routes(), *gate_page.routes(), *acts.routes()]
    yield server.build(health, ChecksApi(suite, replica.board, guard), Metrics(replica.board, "1", "t"), routes)
    streams.stop()
    await suite.close()
    await replica.stop()


def _send(port: int, sent: bytes) -> int:
    """One request, and the status of its answer; in a thread, so that only the server's work is the event loop's."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        said = connection.recv(4096)
        while b"text/event-stream" not in said and connection.recv(65_536):
            pass
    return int(said.split()[1])


def _request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    said = {"Host": "127.0.0.1", "Authorization": "Bearer admin", "Connection": "close", **headers}
    if body:
        said |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _signed(body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X_Hub_Signature_256": f"sha256={digest}", "X_GitHub_Event": "deployment_protection_rule"}


def _calls(app: web.Application) -> list[tuple[str, str]]:
    """Each method and path, with parts that are known."""
    found = []
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        dialect = re.match(r"/hooks/([\w-]+)", path)
        hook = {"codedeploy": "ecs"}.get(dialect[1], dialect[1]) if dialect else "flagger"
        parts = {"rest": "nothing", "hook": hook, **KNOWN}
        path = re.sub(r"\{gate_id[^/]*\}(?=/page)", KNOWN["shown"], path)
        method = "GET" if route.method == "*" else route.method
        found.append((method, re.sub(r"\{(\w+)[^/]*\}", r"{\1}", path).format(**parts)))
    return found


def _inputs(method: str, path: str) -> list[tuple[str, bytes]]:
    sizes = [8 * KIB, 64 * KIB]
    if method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        heads = [(name, size, tail(size)) for name, tail in TAILS.items() for size in (KIB, 7 * KIB)]
        inputs = [(f"{name}, {size}", _request(method, f"{path}{tail}")) for name, size, tail in heads]
        return [*inputs, ("headers", _request(method, path, b"", **{f"X_{n}": "a-" * 400 for n in range(35)}))]
    github = "/github/" in path
    made = [(name, size, body(size)) for name, body in BODIES.items() for size in [*sizes, *([512 * KIB] * github)]]
    return [
        (f"{name}, {size}", _request(method, path, body[:size], **(_signed(body[:size]) if github else {})))
        for name, size, body in made
    ]


async def test_nothing_that_is_sent_costs_more_than_its_worth(app: web.Application) -> None:
    """20 ms of the event loop for each of the worst inputs, at 8 and 64 KiB; the largest, signed, takes more."""
    gc.collect()
    gc.freeze()  # as the daemon does at its start
    serving = await server.listen(app, "127.0.0.1:0", Refusals())
    costly: dict[str, Any] = {}
    try:
        calls = _calls(app)
        assert len(calls) > 30
        for method, path in calls:
            for name, sent in _inputs(method, path):
                costs: list[float] = []
                bound = SIGNED if len(sent) > 128 * KIB else BOUND
                while len(costs) < 5 and min(costs, default=1.0) > bound:
                    began = time.thread_time()
                    status = await asyncio.to_thread(_send, serving.port, sent)
                    costs.append(time.thread_time() - began)
                    assert status < 500, (method, path, name, status)
                if min(costs) > bound:
                    costly[f"{method} {path}: {name}"] = min(costs)
    finally:
        gc.unfreeze()
        await serving.close()
    assert costly == {}
