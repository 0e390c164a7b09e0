"""A replica that starts gates as fast as it may and runs them, until it is killed.

It writes a line for what it has done, after that is stored: `ack ID SERVICE`, `verdict ID VERDICT`. With `drain` it
starts nothing and only brings to an end what others left.
"""

import asyncio
import random
from pathlib import Path
from typing import Any

from healthd.runtime.clock import SystemClock
from healthd_gates import actions, sources
from healthd_gates.actions.contract import ActionRequest, ActionResult, Ending
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.gate import Gate
from healthd_gates.sources.contract import Arms, SourceContext
from tests.fakes import gates as stage
from tests.integration.gates.engine.forks import write_to

# What becomes of a candidate is in the service's name: it does not depend on who looks at it, and when.
VERDICTS = {"good": "pass", "bad": "fail", "late": "fail", "quiet": "inconclusive"}
ACTS = {
    "good": stage.healthy,
    "bad": stage.failing,
    "late": stage.later(2, stage.healthy, stage.failing),
    "quiet": stage.silent,
}
ORDERED = ("back", "page")
_EACH = 3


class ByService(stage.Scripted):
    """Follows the script of its service."""

    def __init__(self, config: stage.ScriptedConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        self.act = ACTS[kind_of(arms.service)]


class Done(stage.Note):
    """Is done at once."""

    async def execute(self, order: ActionRequest) -> ActionResult:
        return ActionResult(Ending.DONE)


def kind_of(service: str) -> str:
    return service.split("-")[0]


def tell(*words: str) -> None:
    print(*words, flush=True)


def told(before: Gate, after: Gate) -> None:
    if after.decision is not None and before.decision is None:
        tell("verdict", after.id, after.decision.verdict.value)


async def start_gates(replica: stage.Replica, services: list[str]) -> None:
    """A gate for every service as soon as it is free."""
    while True:
        service, version = random.choice(services), f"{random.getrandbits(64):x}"
        try:
            gate = await replica.keeper.start(stage.request(service, version), caller="crash")
        except Refusal:
            await asyncio.sleep(0.01)
        else:
            tell("ack", gate.id, service)


def service(name: str) -> dict[str, Any]:
    """One whose traffic calls for a verdict has all the time for it: replicas that are killed all the time look seldom,
    and an interval that ends after a few looks rightly ends inconclusive. One without traffic ends so in any case."""
    policy = "brief" if VERDICTS[kind_of(name)] == "inconclusive" else "quick"
    return {"source": {"kind": "scripted"}, "policy": policy, "on_fail": ORDERED}


def policy(longest: str) -> dict[str, Any]:
    return {**stage.POLICY, "initial_delay": "1s", "interval": "1s", "observe": {"min": "2s", "max": longest}}


def main(url: str, said: Path, *, drain: bool) -> None:
    """In a process of its own."""
    write_to(said, said.with_suffix(".log"))
    sources.KINDS["scripted"] = f"{__name__}:ByService"
    actions.KINDS["note"] = f"{__name__}:Done"
    asyncio.run(work(url, drain=drain))


async def work(url: str, *, drain: bool) -> None:
    services = [f"{kind}-{n}" for kind in VERDICTS for n in range(_EACH)]
    configuration = stage.config(
        services={name: service(name) for name in services},
        actions={name: {"kind": "note"} for name in ORDERED},
        policies={"quick": policy("1h"), "brief": policy("10s")},
        gates={"lease_duration": "2s"},
    )
    replica = await stage.start_replica(url, configuration, SystemClock(), told=told)
    await asyncio.gather(replica.task, *([] if drain else [start_gates(replica, services)]))
