"""Deploy tools that ask a replica's gates, each call as its dialect gets it: what it is answered, read."""

import json
from dataclasses import dataclass
from typing import Any
from unittest.mock import AsyncMock

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from healthd.config.model import Model
from healthd.web.auth import Caller
from healthd.web.problems import Problem
from healthd_gates.api.operation import Call, Nothing, Operation
from healthd_gates.api.problems import problem_of
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import Refusal
from healthd_gates.hooks import find_kind
from tests.fakes.gates import Replica, config


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def verdict(self) -> str:
        return str(self.body["verdict"])

    @property
    def gate(self) -> str:
        return str(self.body["gate"])


class Asking:
    """A deploy tool at one hook. A refusal is a problem document, as behind the door."""

    def __init__(self, running: Replica, kind: str, hook: str) -> None:
        self._operations: dict[str, Operation] = {
            operation.name: operation for operation in find_kind(kind)(running.gates.runs).operations()
        }
        self._hook = hook

    async def ask(
        self, operation: str, body: dict[str, Any] | None = None, query: dict[str, Any] | None = None, **parts: str
    ) -> Said:
        asked = self._operations[operation]
        match_info = {"hook": self._hook, **parts}
        path = asked.path.format(**match_info)
        request = make_mocked_request(asked.method, path, headers={"Host": "healthd.example"}, match_info=match_info)
        read: Model = asked.body.model_validate(body) if body is not None else Nothing()
        try:
            caller = Caller("cluster", frozenset())
            sought = asked.query.model_validate(query or {})
            call = Call(request, caller, read, sought, AsyncMock(), base="https://healthd.example")
            response = await asked.handle(call)
        except Refusal as refusal:
            response = asked.refuse(problem_of(refusal), request)
        except Problem as problem:
            response = asked.refuse(problem, request)
        assert isinstance(response, web.Response)
        said = json.loads(response.text) if response.text else {}
        return Said(response.status, said, dict(response.headers))


def quick(**changes: Any) -> Config:
    """Hooks, and a policy that decides within seconds: each virtual second costs real ones."""
    policy = {"initial_delay": "0s", "observe": {"min": "20s", "max": "40s"}, **changes.pop("policy", {})}
    return config(**{"hooks": HOOKS, "policy": policy, **changes})


class FlaggerCalls(Asking):
    """Flagger's webhooks for the canary shop/api."""

    def __init__(self, running: Replica, hook: str = "flagger") -> None:
        super().__init__(running, "flagger", hook)

    async def __call__(self, webhook: str, checksum: str, phase: str = "Progressing", **metadata: str) -> Said:
        payload = {"name": "api", "namespace": "shop", "phase": phase, "checksum": checksum, "metadata": metadata}
        return await self.ask("flagger", payload, webhook=webhook)


class ArgoCalls(Asking):
    """Measurements of the rollout shop/api."""

    def __init__(self, running: Replica) -> None:
        super().__init__(running, "argo_rollouts", "argo")

    async def __call__(self, version: str, revision: str = "7", run: str | None = None) -> Said:
        named = {"run": run} if run else {}
        body = {"rollout": "shop/api", "revision": revision, "version": version, **named}
        return await self.ask("argo_rollouts", body)


HOOKS: dict[str, Any] = {
    "flagger": {"kind": "flagger", "canaries": {"shop/api": {"service": "api"}}},
    "flagger-primary": {
        "kind": "flagger",
        "canaries": {
            "shop/api": {
                "service": "api",
                "baseline": {"version": "primary", "labels": {"pod": "api-primary"}},
                "after_promotion": "quick",
            }
        },
    },
    "argo": {"kind": "argo_rollouts", "rollouts": {"shop/api": {"service": "api"}}},
    "spinnaker": {"kind": "spinnaker", "stages": {"api-production": {"service": "api"}}},
}
