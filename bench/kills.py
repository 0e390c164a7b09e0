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
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web

from bench.replicas import Replica, configuration, session_of
from bench.table import Row, show

CHECKS = 20
STEADY = 18.0  # seconds for which a check stays as it is, at least: what flaps faster may be told as one
WITHIN = 15.0  # seconds after which what was done must be in force on every replica that lives
PATIENCE = 60.0  # seconds for the last notices to arrive


@dataclass
class Found:
    """What was seen. `again` are notices that were repeated under the same id, as docs/notifications.md says that they
    may be; the rest are faults."""

    kills: int = 0
    due: int = 0
    told: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)


class Target:
    """What the checks look at, each of it well or not, and what is told of them."""

    def __init__(self, dice: random.Random) -> None:
        self.names = [f"c{number:02}" for number in range(CHECKS)]
        self.truth: dict[str, list[str]] = {name: [] for name in self.names}
        self.told: dict[str, list[tuple[str, str]]] = {name: [] for name in self.names}
        self.origin = ""
        self._dice, self._down, self._since = dice, set[str](), dict.fromkeys(self.names, 0.0)

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
        return web.Response(status=503 if request.match_info["name"] in self._down else 200)

    async def _hear(self, request: web.Request) -> web.Response:
        event = await request.json()
        await asyncio.sleep(self._dice.uniform(0, 0.3))  # within which its sender may be killed
        for it in event["data"].get("events", [event]):
            if it["subject"] in self.told:
                self.told[it["subject"]].append((it["type"].rpartition(".")[2], it["id"]))
        return web.Response(status=202)

    def turn_some(self) -> None:
        """Let some checks fail, or be well again, that were as they are for long enough."""
        able = [name for name in self.names if monotonic() - self._since[name] > STEADY]
        for name in self._dice.sample(able, min(len(able), 4)):
            self.truth[name].append("over" if name in self._down else "firing")
            self._down ^= {name}
            self._since[name] = monotonic()

    def missing(self) -> dict[str, list[str]]:
        """What was not told yet, by check."""
        seen = {name: [kind for kind, _ in _once(told)] for name, told in self.told.items()}
        return {name: due[len(seen[name]) :] for name, due in self.truth.items() if len(seen[name]) < len(due)}

    def judge(self, found: Found) -> None:
        for name, due in self.truth.items():
            once = _once(self.told[name])
            found.due += len(due)
            found.told += len(once)
            found.again += len(self.told[name]) - len(once)
            if [kind for kind, _ in once] != due:
                found.faults.append(f"{name}: due {due}, told {self.told[name]}")


def _once(told: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out repetitions under the same id."""
    return list(dict.fromkeys(told))


class Shift:
    """Replicas, and what is asked of them while they die."""

    def __init__(self, replicas: list[Replica], client: aiohttp.ClientSession, dice: random.Random) -> None:
        self.replicas, self._client, self._dice = replicas, client, dice
        self._window: str | None = None
        self._rounds = 0

    async def act(self) -> Callable[[Replica], Awaitable[str]]:
        """Ping the heartbeat, end a window and add another, and sign somebody out, each at some replica; return what
        tells what is not in force on a replica, or nothing."""
        self._rounds += 1
        signal, status = ("fail", "unhealthy") if self._rounds % 2 else ("0", "healthy")
        await self._ask("POST", f"/heartbeats/job/{signal}")
        if self._window is not None:
            await self._ask("DELETE", f"/windows/{self._window}")
        body = {"kind": "silence", "checks": ["quiet"], "for": "1h", "reason": f"round {self._rounds}"}
        window = self._window = (await self._ask("POST", "/windows", json=body))["id"]
        cookie = session_of(secrets.token_hex(8))
        await self._ask("POST", "/sign-out", headers={"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})

        async def lacks(replica: Replica) -> str:
            health = await replica.get(self._client, "/health")
            windows = [it["id"] for it in (await replica.get(self._client, "/windows"))["windows"]]
            page = await replica.text(self._client, "/", cookie)
            return ", ".join(
                [f"heartbeat {health['checks']['job']['status']}"] * (health["checks"]["job"]["status"] != status)
                + [f"windows {windows}, not {window}"] * (windows != [window])
                + ["a session that was ended"] * ("Signed in as" in page)
            )

        return lacks

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
        try:
            await asyncio.gather(*(it.start(client) for it in replicas))
            work = Shift(replicas, client, dice)
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
            ends = monotonic() + PATIENCE
            while target.missing() and monotonic() < ends:  # noqa: ASYNC110 - they come from other processes
                await asyncio.sleep(1)
            await asyncio.sleep(5)  # in which somebody might tell something again
        finally:
            for replica in replicas:
                replica.kill()
    target.judge(found)
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
