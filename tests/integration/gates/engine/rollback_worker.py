"""A replica that lets one bad candidate after the other fail and rolls it back, until it kills itself at a step of a
rollback by one kind of action. Without a step it starts no gates and only brings to an end what others left.
"""

import asyncio
import os
import random
import signal
import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from healthd.runtime.clock import SystemClock
from healthd_gates import sources
from healthd_gates.actions.executor import Attempts
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.request import Version
from healthd_gates.sources.contract import Arms, Cursor, Look, SourceContext
from healthd_gates.store import group_commit as writer
from healthd_gates.store import outbox
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.gate_update import Change
from healthd_gates.store.outbox import Outbox
from tests.fakes import gates as stage
from tests.integration.gates.engine.forks import write_to
from tests.integration.gates.engine.rollback_places import BASELINE, named
from tests.servers import moto

_SOON = 0.03  # seconds that an effect may be under way before the end comes
_ANY_MOMENT = 6.0
_USES_HTTP = ("webhook", "aws_elbv2", "kubernetes")


@dataclass
class Fuse:
    """Ends the process as a crash does: the `left`th time that a rollback by this kind of action comes to the step."""

    kind: str
    left: int

    def burn(self, within: float = 0.0) -> None:
        self.left -= 1
        if self.left > 0:
            return
        if within:
            asyncio.get_running_loop().call_later(random.uniform(0, within), _die)
        else:
            _die()

    def is_of(self, action: str) -> bool:
        return action.startswith(self.kind)

    def ordering(self, changes: Iterable[Change]) -> bool:
        return any(self.is_of(name) for change in changes for _, name in change.orders)

    def rollback_is(self, change: Change, *states: RollbackState) -> bool:
        rollback = change.gate.rollback
        return self.is_of(change.gate.service) and rollback is not None and rollback.state in states


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, fuse: Fuse, when: Callable[..., bool], within: float = 0.0) -> None:
    original = getattr(owner, name)

    async def wrapped(*args: Any, **named: Any) -> Any:
        if when(*args):
            fuse.burn(within)
        return await original(*args, **named)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, fuse: Fuse, when: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    async def wrapped(*args: Any, **named: Any) -> Any:
        result = await original(*args, **named)
        if when(*args, result):
            fuse.burn()
        return result

    setattr(owner, name, wrapped)


def effect(moment: str, fuse: Fuse) -> None:
    """At what an action does outside: before it, while it is under way, after it and before the action knows."""
    if fuse.kind not in _USES_HTTP:
        place = {"before": (asyncio, "create_subprocess_exec"), "after": (asyncio.subprocess.Process, "wait")}
        if moment == "under way":
            before(*place["after"], fuse, lambda *_: True, _SOON)
        else:
            (before if moment == "before" else after)(*place[moment], fuse, lambda *_: True)
        return
    original = aiohttp.ClientSession._request

    async def request(session: Any, method: str, url: Any, **sent: Any) -> Any:
        is_it = _changes(fuse.kind, method, sent.get("data"))
        if is_it and moment != "after":
            fuse.burn(_SOON if moment == "under way" else 0.0)
        response = await original(session, method, url, **sent)
        if is_it and moment == "after":
            fuse.burn()
        return response

    aiohttp.ClientSession._request = request  # type: ignore[assignment]


def _changes(kind: str, method: str, data: Any) -> bool:
    """Whether a request is the one by which that kind of action has its effect."""
    if kind == "aws_elbv2":
        return b"Action=Modify" in (data if isinstance(data, bytes) else str(data).encode())
    return method == ("PATCH" if kind == "kubernetes" else "POST")


# Each is a place between two steps: of what is in the journal before it, everything is; of what comes after, nothing.
STEPS: dict[str, Callable[[Fuse], None]] = {
    "before the decision is stored": lambda fuse: before(
        GateStore, "store", fuse, lambda _, change: fuse.ordering([change])
    ),
    "before the decision is committed": lambda fuse: after(
        writer, "write_changes", fuse, lambda _, changes, *__: fuse.ordering(changes)
    ),
    "after the decision is stored": lambda fuse: after(
        GateStore, "store", fuse, lambda _, change, __: fuse.ordering([change])
    ),
    "after an action is claimed": lambda fuse: after(
        Outbox, "claim", fuse, lambda *rest: any(fuse.is_of(order.action) for order in rest[-1])
    ),
    "before an action is tried": lambda fuse: before(
        Attempts, "execute", fuse, lambda _, __, order: fuse.is_of(order.action)
    ),
    "before the effect": lambda fuse: effect("before", fuse),
    "while the effect is under way": lambda fuse: effect("under way", fuse),
    "after the effect": lambda fuse: effect("after", fuse),
    "after an action is done": lambda fuse: after(
        Attempts, "execute", fuse, lambda _, __, order, ___: fuse.is_of(order.action)
    ),
    "before an action is settled": lambda fuse: before(
        Outbox, "settle", fuse, lambda _, order, *__: fuse.is_of(order.action)
    ),
    "before an action's settling is committed": lambda fuse: after(
        outbox, "tell", fuse, lambda *rest: fuse.is_of(rest[4]["action"])
    ),
    "after an action is settled": lambda fuse: after(
        Outbox, "settle", fuse, lambda _, order, *__: fuse.is_of(order.action)
    ),
    "after the confirmation begins": lambda fuse: after(
        GateStore, "store", fuse, lambda _, change, __: fuse.rollback_is(change, RollbackState.CONFIRMING)
    ),
    "before the end is stored": lambda fuse: before(
        GateStore, "store", fuse, lambda _, change: fuse.rollback_is(change, RollbackState.UNCONFIRMED)
    ),
    "after the end is stored": lambda fuse: after(
        GateStore, "store", fuse, lambda _, change, __: fuse.rollback_is(change, RollbackState.UNCONFIRMED)
    ),
    "at any moment": lambda fuse: replace(fuse, left=1).burn(_ANY_MOMENT),
}


@dataclass(frozen=True)
class Task:
    """What one replica is to do. `deploy` is where it asks for a candidate to be put in place."""

    url: str
    actions: dict[str, Any]
    deploy: str
    kind: str
    step: str | None = None
    count: int = 1


class Failing(stage.Scripted):
    """A candidate that is put in place when the gate looks first, beside a baseline without traffic: that cannot
    confirm its rollback.
    """

    deploy_at = ""

    def __init__(self, config: stage.ScriptedConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        self._where = f"{self.deploy_at}?service={arms.service}&version={arms.candidate.version}"
        self.act = lambda _seconds: (Counts(1000, 1000), Counts(0, 0))

    async def observe(self, since: Cursor | None) -> Look:
        if since is None:
            self._put_in_place()
        return await super().observe(since)

    def _put_in_place(self) -> None:
        # The loop waits: a look that took too long on a busy machine was given up, and its gate was over before
        # anything was there to be put back.
        urllib.request.urlopen(self._where, timeout=60).read()


async def start_gates(replica: stage.Replica, kind: str) -> None:
    """A gate for every service of a kind as soon as it is free."""
    while True:
        service, version = random.choice(named(kind)), f"{random.getrandbits(64):x}"
        arms = {"baseline": Version(version=BASELINE, target="blue")}
        asked = stage.request(service, version, **arms)
        asked = asked.model_copy(update={"candidate": Version(version=version, target="green")})
        try:
            await replica.keeper.start(asked, caller="crash")
        except Refusal:
            await asyncio.sleep(0.05)


def undone(service: str) -> dict[str, Any]:
    """What is configured for a service. A second of evidence decides nothing, and that counts as a fail."""
    targets = {"blue": "http://127.0.0.1:9", "green": "http://127.0.0.2:9"}
    return {"on_fail": [service, "tell"], "on_inconclusive": [service, "tell"], "targets": targets}


async def work(task: Task) -> None:
    ordered = [name for name in task.actions if name != "tell"]
    configuration = stage.config(
        services={name: {"source": {"kind": "scripted"}, "policy": "quick", **undone(name)} for name in ordered},
        actions=task.actions,
        policy={
            "initial_delay": "0s",
            "interval": "1s",
            "observe": {"min": "1s", "max": "1s"},
            "confirm_timeout": "1s",
        },
        gates={"lease_duration": "2s"},
    )
    Failing.deploy_at = task.deploy
    if task.step is not None:
        STEPS[task.step](Fuse(task.kind, task.count))
    replica = await stage.start_replica(task.url, configuration, SystemClock())
    tasks: list[Awaitable[None]] = [replica.task]
    if task.step is not None:
        tasks.append(start_gates(replica, task.kind))
    await asyncio.gather(*tasks)


def main(task: Task, log: Path) -> None:
    """In a process of its own."""
    write_to(log, log)
    os.environ.update(moto.CREDENTIALS)
    sources.KINDS["scripted"] = f"{__name__}:Failing"
    asyncio.run(work(task))
