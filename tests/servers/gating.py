"""A daemon with gates that decide within seconds, for tests of what is said about them rather than how they decide."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from healthd.web.auth import new_token
from healthd_gates.client.client import GateClient
from tests.servers import daemon
from tests.servers.ports import HOST, free_port

SERVICES = 300
_FEW = 40  # of them, for a daemon that one file of tests has
FUZZED = range(200, SERVICES)  # of those, what nobody counts the gates of
FUZZERS = tuple(f"fuzz-{n}" for n in range(20))
"""Tokens for a test that makes more calls than one caller may."""
_BUSY = 400  # requests a push


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_problem(self) -> bool:
        said = self.headers.get("Content-Type", "").startswith("application/problem+json")
        return said and self.body["status"] == self.status


class Gating:
    """The running daemon, and tokens for it. Each test takes services of its own with `service()`."""

    def __init__(self, healthd: daemon.Daemon, tokens: Mapping[str, str]) -> None:
        self.daemon, self.tokens = healthd, tokens
        self._numbers = count()

    def service(self) -> str:
        return f"api-{next(self._numbers)}"

    def client(self, token: str = "admin") -> GateClient:
        return GateClient(self.daemon.url, self.tokens.get(token), retry_for=10.0)

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = "admin", **headers: str
    ) -> Answer:
        """One call; `body` is sent as JSON, or as it is when it is bytes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens[token]}"
        as_is = isinstance(body, bytes)
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                self.daemon.url + path,
                data=body if as_is else None,
                json=None if as_is else body,
                headers=sent,
                allow_redirects=False,
            ) as response,
        ):
            is_json = "json" in response.content_type
            read = await response.json(content_type=None) if is_json else await response.text()
            return Answer(response.status, response.headers, read)

    async def verify(self, service: str, policy: str, *, version: str = "2", wait: str = "0s", **more: Any) -> Answer:
        body = {"service": service, "policy": policy, "candidate": {"version": version}, **more}
        return await self.call("POST", f"/gates/verify?wait={wait}", body)


@asynccontextmanager
async def gating(folder: Path, size: int = _FEW, /, **changes: Any) -> AsyncIterator[Gating]:
    """A daemon with a journal in `folder` and `size` services. Its policies: green passes and red fails at the first
    looks, endless goes on, held waits for a person, pushed judges what is pushed."""
    made = {
        name: new_token()
        for name in ("admin", "read", "verify", "ci", "rollback", "hooks", "telemetry", "busy", *FUZZERS)
    }
    scopes = {
        "admin": "admin",
        "busy": "gates:read",
        "telemetry": "telemetry:write",
        "ci": "gates:read gates:verify",
        **dict.fromkeys(FUZZERS, "admin"),
    }
    configuration = {
        "journal": f"sqlite:///{folder / 'journal.db'}",
        "http": {"drain": "10ms"},
        "auth": {
            "tokens": [
                {"name": name, "hash": hashed, "scopes": scopes.get(name, f"gates:{name}").split()}
                for name, (_, hashed) in made.items()
            ]
        },
        "checks": {
            "fine": {"kind": "process", "interval": "1s", "timeout": "1s"},
            "dead": {"kind": "tcp", "host": HOST, "port": free_port(), "interval": "1s", "timeout": "1s"},
        },
        "policies": POLICIES,
        "services": {f"api-{n}": {"source": {"kind": "push"}, "policy": "green"} for n in range(size)},
        "hooks": {} if "services" in changes else hooks(size),
        **changes,
    }
    async with daemon.running(configuration) as healthd:
        known = {name: token for name, (token, _) in made.items()}
        running = Gating(healthd, {} if "auth" in changes else known)
        async with running.client() as client:
            await client.gates()  # it is asked again until the journal is open
        yield running


@asynccontextmanager
async def pushing(client: GateClient, gate_id: str, *, bad: float) -> AsyncIterator[None]:
    """Traffic for a gate as long as this is open: a share of `bad` requests fails."""

    async def push() -> None:
        while True:
            await client.push(gate_id, {"candidate": {"requests": _BUSY, "errors": round(_BUSY * bad)}})
            await asyncio.sleep(0.25)

    task = asyncio.create_task(push(), name="pushing")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _policy(criterion: dict[str, Any], most: str, least: str = "0s", **more: Any) -> dict[str, Any]:
    observe = {"min": least, "max": most}
    return {"initial_delay": "0s", "interval": "1s", "observe": observe, "criteria": [criterion], **more}


POLICIES = {
    "green": _policy({"kind": "checks", "checks": ["fine"]}, "10s"),
    "red": _policy({"kind": "checks", "checks": ["dead"], "failures": 1}, "10s"),
    "open": _policy({"kind": "checks", "checks": ["fine"]}, "10s", quarantine=False),
    "closed": _policy({"kind": "checks", "checks": ["dead"], "failures": 1}, "10s", quarantine=False),
    "endless": _policy({"kind": "checks", "checks": ["fine"]}, "1h", least="1h"),
    "held": _policy({"kind": "error_rate", "limit": "5%"}, "1s", inconclusive="hold"),
    "pushed": _policy({"kind": "error_rate", "limit": "5%"}, "15s", least="2s"),
    "silent": _policy({"kind": "error_rate", "limit": "5%"}, "1s"),
    "watched": _policy({"kind": "error_rate", "limit": "5%"}, "15s", watch="1h"),
}


def hooks(services: int) -> dict[str, Any]:
    """Each dialect under its own name, for so many services."""
    names = [f"api-{n}" for n in range(services)]
    shop = {f"shop/{name}": {"service": name} for name in names}
    endless = {name: {"service": name, "policy": "endless"} for name in names}
    flagger = {
        "flagger": {"preflight": "open"},
        "flagger-red": {"policy": "red", "preflight": "closed"},
        "flagger-endless": {"policy": "endless"},
    }
    ecs = {
        "POST_TEST_TRAFFIC_SHIFT": "red",
        "PRODUCTION_TRAFFIC_SHIFT": "green",
        "POST_PRODUCTION_TRAFFIC_SHIFT": "green",
    }
    datadog = {"prod": "green", "qa": "red", "dev": "endless"}
    return {
        **{
            hook: {"kind": "flagger", "canaries": {canary: {**asked, **policy} for canary, asked in shop.items()}}
            for hook, policy in flagger.items()
        },
        "ecs": {
            "kind": "ecs",
            "services": {
                f"main/{name}": {event: {"service": name, "policy": policy} for event, policy in ecs.items()}
                for name in names
            },
        },
        "datadog": {
            "kind": "datadog",
            "gates": {
                f"{name}/{environment}": {"service": name, "policy": policy}
                for name in names
                for environment, policy in datadog.items()
            },
        },
        "argo-rollouts": {"kind": "argo_rollouts", "rollouts": shop},
        "argo-endless": {"kind": "argo_rollouts", "rollouts": {f"shop/{name}": it for name, it in endless.items()}},
        "spinnaker": {"kind": "spinnaker", "stages": {name: {"service": name} for name in names}},
        "spinnaker-endless": {"kind": "spinnaker", "stages": endless},
    }
