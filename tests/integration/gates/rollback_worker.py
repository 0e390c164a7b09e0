"""A replica that lets one bad candidate after the other fail and rolls it back by webhook, until it kills itself:
`python -m … URL RECEIVER [STEP COUNT]`. It does so at a step of a rollback, the COUNTth time that it comes there.

Without a step it starts no gates and only brings to an end what others left.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from gates import sources
from gates.actions.attempt import Attempts
from gates.gate import RollbackState
from gates.ledger import outbox, writer
from gates.ledger.change import Change
from gates.ledger.ledger import Ledger
from gates.ledger.outbox import Outbox
from gates.model import Counts
from gates.refusals import Refusal
from gates.request import Version
from healthd.clock import SystemClock
from tests.unit.gates import stage

SERVICES = [f"shop-{n}" for n in range(6)]
ORDERED = ("back", "tell")


class Fuse:
    """Ends the process as a crash does."""

    def __init__(self, count: int) -> None:
        self._left = count

    def burn(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, fuse: Fuse, when: Callable[..., bool] = lambda *_: True) -> None:
    original = getattr(owner, name)

    async def wrapped(*args: Any, **named: Any) -> Any:
        if when(*args):
            fuse.burn()
        return await original(*args, **named)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, fuse: Fuse, when: Callable[..., bool] = lambda *_: True) -> None:
    original = getattr(owner, name)

    async def wrapped(*args: Any, **named: Any) -> Any:
        result = await original(*args, **named)
        if when(*args, result):
            fuse.burn()
        return result

    setattr(owner, name, wrapped)


def ordering(changes: Iterable[Change]) -> bool:
    return any(change.orders for change in changes)


def rollback_is(change: Change, *states: RollbackState) -> bool:
    return change.gate.rollback is not None and change.gate.rollback.state in states


# Each is a place between two steps: of what is in the journal before it, everything is; of what comes after, nothing.
STEPS: dict[str, Callable[[Fuse], None]] = {
    "before the decision is stored": lambda fuse: before(Ledger, "store", fuse, lambda _, change: bool(change.orders)),
    "before the decision is committed": lambda fuse: after(
        writer, "write_changes", fuse, lambda _, changes, __: ordering(changes)
    ),
    "after the decision is stored": lambda fuse: after(
        Ledger, "store", fuse, lambda _, change, __: bool(change.orders)
    ),
    "after an action is claimed": lambda fuse: after(Outbox, "claim", fuse, lambda *rest: bool(rest[-1])),
    "before an action is tried": lambda fuse: before(Attempts, "carry_out", fuse),
    "after an action is done": lambda fuse: after(Attempts, "carry_out", fuse),
    "before an action is settled": lambda fuse: before(Outbox, "settle", fuse),
    "before an action's settling is committed": lambda fuse: after(outbox, "tell", fuse),
    "after an action is settled": lambda fuse: after(Outbox, "settle", fuse),
    "after the confirmation begins": lambda fuse: after(
        Ledger, "store", fuse, lambda _, change, __: rollback_is(change, RollbackState.CONFIRMING)
    ),
    "before the end is stored": lambda fuse: before(
        Ledger, "store", fuse, lambda _, change: rollback_is(change, RollbackState.UNCONFIRMED)
    ),
    "after the end is stored": lambda fuse: after(
        Ledger, "store", fuse, lambda _, change, __: rollback_is(change, RollbackState.UNCONFIRMED)
    ),
}


class Failing(stage.Scripted):
    """A candidate that never works, beside a baseline without traffic: its rollback cannot be confirmed."""

    async def observe(self, since: Any) -> Any:
        self.act = lambda _seconds: (Counts(1000, 1000), Counts(0, 0))
        return await super().observe(since)


async def start_gates(replica: stage.Replica) -> None:
    """A gate for every service as soon as it is free."""
    while True:
        service, version = random.choice(SERVICES), f"{random.getrandbits(64):x}"
        try:
            baseline = Version(version="1.0")
            gate = await replica.keeper.start(stage.request(service, version, baseline=baseline), caller="crash")
        except Refusal:
            await asyncio.sleep(0.02)
        else:
            print("ack", gate.id, service, flush=True)


async def main(url: str, receiver: str, work: Sequence[str]) -> None:
    service = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ORDERED}
    action = {"kind": "webhook", "url": receiver, "secret": "a-secret-for-signatures", "timeout": "5s"}
    configuration = stage.config(
        services=dict.fromkeys(SERVICES, service),
        actions=dict.fromkeys(ORDERED, action),
        policy={"settle": "1s", "every": "1s", "observe": {"at_least": "2s", "at_most": "20s"}, "confirm": "1s"},
        gates={"lease": "2s"},
    )
    if work:
        step, count = work
        STEPS[step](Fuse(int(count)))
    replica = await stage.start_replica(url, configuration, SystemClock())
    tasks: list[Awaitable[None]] = [replica.task]
    if work:
        tasks.append(start_gates(replica))
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    sources.KINDS["scripted"] = "tests.integration.gates.rollback_worker:Failing"
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
