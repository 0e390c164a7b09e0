"""Replicas on one journal, of which one is killed at a random moment, over and over: is each failure and each end told
once, and are heartbeats, windows, tokens and sign-outs in force on all of them?

`python -m bench.kills --kills 100 --replicas 3 --journal postgresql://…`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web

from bench.replicas import Replica, configuration, session_of
from bench.table import Row, show
from healthd.notify.turns import UNASKED

CHECKS = 20
STEADY = 18.0  # seconds for which a check stays as it is, at least; it also stays until that was told
WITHIN = 15.0  # seconds after which what was done must be in force on every replica that lives
_NOT_STORED = "end of a session not stored yet"
PATIENCE = 60.0  # seconds in which a change must be told


@dataclass
class Found:
    """What was seen. As the documentation says they may be, notices are told `again` under the same id, changes are
    told `unasked`, by each replica for itself, while the journal does not answer in time, and windows and the end of a
    session are `unstored` then; the rest are faults. `slowest` is how many seconds a change waited to be told."""

    kills: int = 0
    due: int = 0
    told: int = 0
    again: int = 0
    unasked: int = 0
    slowest: float = 0.0
    unstored: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass
class Change:
    """A check that fails, or is well again, and what was told from then until it changes the next time."""

    kind: str
    at: float
    told: list[tuple[str, str]] = field(default_factory=list)
    told_at: float | None = None
    unasked: bool = False

    def hear(self, kind: str, id_: str, *, unasked: bool) -> None:
        self.told.append((kind, id_))
        self.unasked |= unasked
        if kind == self.kind and self.told_at is None:
            self.told_at = monotonic()

    @property
    def once(self) -> list[tuple[str, str]]:
        """What was told, without repetitions under the same id."""
        return list(dict.fromkeys(self.told))


class Target:
    """What the checks look at, each of it well or not, and what is told of them."""

    def __init__(self, dice: random.Random) -> None:
        self.names = [f"c{number:02}" for number in range(CHECKS)]
        self.changes: dict[str, list[Change]] = {name: [Change("over", 0.0)] for name in self.names}
        self.origin = ""
        self._dice = dice

    async def __aenter__(self) -> Target:
        app = web.Application()
        app.router.add_post("/told", self._hear)
        app.router.add_get("/checks/{name}", self._show)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _show(self, request: web.Request) -> web.Response:
        return web.Response(status=503 if self.changes[request.match_info["name"]][-1].kind == "firing" else 200)

    async def _hear(self, request: web.Request) -> web.Response:
        event = await request.json()
        await asyncio.sleep(self._dice.uniform(0, 0.3))  # within which its sender may be killed
        unasked = UNASKED in event["data"]["detail"]
        for it in event["data"].get("events", [event]):
            if it["subject"] in self.changes:
                self.hear(it["subject"], it["type"].rpartition(".")[2], it["id"], unasked=unasked)
        return web.Response(status=202)

    def hear(self, name: str, kind: str, id_: str, *, unasked: bool = False) -> None:
        """Take a notice as one of the last change; a repetition, until that is told, as one of the change before."""
        *_, before, last = [Change("", 0.0), *self.changes[name]]
        (before if last.told_at is None and (kind, id_) in before.told else last).hear(kind, id_, unasked=unasked)

    def turn_some(self) -> None:
        """Let some checks fail, or be well again, that were as they are for long enough."""
        missing = self.missing()
        able = [it for it in self.names if it not in missing and monotonic() - self.changes[it][-1].at > STEADY]
        for name in self._dice.sample(able, min(len(able), 4)):
            kind = "firing" if self.changes[name][-1].kind == "over" else "over"
            self.changes[name].append(Change(kind, monotonic()))

    def missing(self) -> set[str]:
        """Checks of which the last change was not told yet, and is not given up."""
        waiting = {name for name, (_, *due) in self.changes.items() if due and due[-1].told_at is None}
        return {name for name in waiting if monotonic() - self.changes[name][-1].at < PATIENCE}

    def judge(self, found: Found) -> None:
        for name, (before, *due) in self.changes.items():
            found.faults += [f"{name}: told {before.told} before it failed"] * bool(before.told)
            found.due += len(due)
            for change in due:
                found.told += len(change.once)
                found.again += len(change.told) - len(change.once)
                if change.told_at is not None:
                    found.slowest = max(found.slowest, change.told_at - change.at)
                if [kind for kind, _ in change.once] == [change.kind]:
                    continue
                if change.unasked and change.told_at is not None:
                    found.unasked += 1
                else:
                    found.faults.append(f"{name}: {change.kind} due, told {change.told}")


class Shift:
    """Replicas, and what is asked of them while they die."""

    def __init__(self, replicas: list[Replica], client: aiohttp.ClientSession, dice: random.Random) -> None:
        self.replicas, self._client, self._dice = replicas, client, dice
        self.unstored = 0
        self._window: str | None = None
        self._is_stored = True  # what was done to windows last: else it holds on one replica, and dies with it
        self._rounds = 0

    async def act(self) -> Callable[[Replica], Awaitable[str]]:
        """Ping the heartbeat, end a window and add another, and sign somebody out, each at some replica; return what
        tells what is not in force on a replica, or nothing."""
        self._rounds += 1
        signal, status = ("fail", "unhealthy") if self._rounds % 2 else ("0", "healthy")
        await self._ask("POST", f"/heartbeats/job/{signal}")
        is_ended = await self._end_window()
        body = {"kind": "silence", "checks": ["quiet"], "for": "1h", "reason": f"round {self._rounds}"}
        added = await self._ask("POST", "/windows", json=body)
        window = self._window = added["id"]
        are_stored = self._is_stored = is_ended and added["stored"]
        cookie, before = session_of(secrets.token_hex(8)), self._slow_ends()
        await self._ask("POST", "/sign-out", headers={"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})
        stored = self._slow_ends() == before
        self.unstored += (not stored) + (not are_stored)

        async def lacks(replica: Replica) -> str:
            health = await replica.get(self._client, "/health")
            windows = [it["id"] for it in (await replica.get(self._client, "/windows"))["windows"]]
            page = await replica.text(self._client, "/", cookie)
            return ", ".join(
                [f"heartbeat {health['checks']['job']['status']}"] * (health["checks"]["job"]["status"] != status)
                + [f"windows {windows}, not {window}"] * (are_stored and windows != [window])
                + ["a session that was ended"] * (stored and "Signed in as" in page)
            )

        return lacks

    async def _end_window(self) -> bool:
        """End the window of the last round; False if that is not stored."""
        if self._window is not None and self._is_stored:
            return bool((await self._ask("DELETE", f"/windows/{self._window}"))["stored"])
        ended = True
        for replica in (it for it in self.replicas if it.lives):
            for it in (await replica.get(self._client, "/windows"))["windows"]:
                with suppress(aiohttp.ClientResponseError):  # another has ended it just now
                    ended &= (await replica.ask(self._client, "DELETE", f"/windows/{it['id']}"))["stored"]
        return ended

    def _slow_ends(self) -> int:
        return sum(it.said(_NOT_STORED) for it in self.replicas)

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        replica = self._dice.choice([it for it in self.replicas if it.lives])
        return await replica.ask(self._client, method, path, **options)

    async def until_in_force(self, lacks: Callable[[Replica], Awaitable[str]]) -> list[str]:
        """Wait until all is in force everywhere; return what is not."""
        ends, left = monotonic() + WITHIN, dict.fromkeys(self.replicas, "not asked")
        while left and monotonic() < ends:
            for replica in list(left):
                if said := await lacks(replica):
                    left[replica] = said
                else:
                    del left[replica]
            await asyncio.sleep(0.3 if left else 0)
        return [f"{replica.url}: {said}" for replica, said in left.items()]


async def shift(kills: int, number: int, journal: str, seed: int, folder: Path) -> Found:
    """Kill one of so many replicas so often."""
    dice, found = random.Random(seed), Found()
    async with Target(dice) as target, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as client:
        settings = configuration(journal, target.names, target.origin)
        replicas = [Replica(folder / f"{count}.yaml", settings) for count in range(number)]
        work = Shift(replicas, client, dice)
        try:
            await asyncio.gather(*(it.start(client) for it in replicas))
            await asyncio.sleep(STEADY)  # in which they get to know each other
            for _ in range(kills):
                target.turn_some()
                lacks = await work.act()
                await asyncio.sleep(dice.uniform(0.0, 2.5))
                dying = dice.choice(replicas)
                dying.kill()
                found.kills += 1
                await asyncio.sleep(dice.uniform(0.0, 1.0))
                await dying.start(client)
                found.faults += [f"after kill {found.kills}: {it}" for it in await work.until_in_force(lacks)]
            while target.missing():  # noqa: ASYNC110 - they come from other processes
                await asyncio.sleep(1)
            await asyncio.sleep(5)  # in which somebody might tell something again
        except TimeoutError as error:  # what was seen until then is shown all the same
            found.faults.append(f"after kill {found.kills}: {error}")
        finally:
            for replica in replicas:
                replica.kill()
    target.judge(found)
    found.unstored = work.unstored
    return found


async def measure(kills: int, number: int, journal: str | None, seed: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        found = await shift(kills, number, journal or f"sqlite:///{folder}/journal.db", seed, Path(folder))
    for fault in found.faults:
        print(fault)
    what = f"{number} replicas, {found.kills} kills"
    kinds = Counter("in force" if fault.startswith("after") else "told" for fault in found.faults)
    return [
        Row(f"{what}: lost, or told anew, of {found.due} notices", str(kinds["told"]), "0", float(kinds["told"]), "0"),
        Row(f"{what}: told once more under the same id", str(found.again), str(kills), found.again / kills, "< 1"),
        Row(f"{what}: told by each for itself, as the journal did not answer in time", str(found.unasked), "", 0.0, ""),
        Row(f"{what}: longest wait until a change was told", f"{found.slowest:.0f} s", "", found.slowest, ""),
        Row(
            f"{what}: signed out, or a window, on one alone, as the journal did not answer in time",
            str(found.unstored),
            "",
            0.0,
            "",
        ),
        Row(f"{what}: not in force on one within {WITHIN:.0f} s", str(kinds["in force"]), "0", kinds["in force"], "0"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--journal", help="a PostgreSQL; a file of SQLite by default")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    show(asyncio.run(measure(given.kills, given.replicas, given.journal, given.seed)))


if __name__ == "__main__":
    main()
