"""Plays the demo: starts everything on loopback, deploys a good version, a bad one, and a bad one step by step; says
what happened, and cleans up.

Exit code 0 when the good one passed and the bad ones were rolled back.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from time import monotonic

import aiohttp

from deploy.demo.customers import Customers
from deploy.demo.stage import NotStartedError, Stage, staged

RATE = 150.0


class Play:
    """The story, told as it happens."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession, customers: Customers) -> None:
        self._stage, self._session, self._customers = stage, session, customers
        self._start = monotonic()

    def say(self, text: str) -> None:
        print(f"{monotonic() - self._start:5.1f} s  {text}", flush=True)

    async def deploy(
        self, version: str, colour: str, baseline: tuple[str, str], *, errors: float = 0.0, widened: bool = False
    ) -> str:
        """Deploy to the idle colour, switch, and let healthd judge; where it is to be `widened`, healthd moves the
        traffic itself. Returns the verdict."""
        then = "healthd widens it" if widened else "the switch turns to it"
        self.say(f"version {version} goes to {colour}, then {then}")
        await self._stage.release(colour, version, errors=errors)
        with self._customers.counted() as served:
            if not widened:
                async with self._session.post(self._stage.url("switch", f"/to/{colour}")):
                    pass
            verdict = await self._judge(version, colour, baseline, "gradual" if widened else "post-switch")
            await asyncio.sleep(1)
        async with self._session.get(self._stage.url("switch", "/colour")) as answer:
            now = await answer.text()
        self.say(
            f"the traffic is on {now}; {served.failures} of {served.requests} requests failed",
        )
        if served.failures:
            self.say(f"from the first failure to the last: {served.seconds_of_failure:.0f} s")
        return verdict

    async def _judge(self, version: str, colour: str, baseline: tuple[str, str], policy: str) -> str:
        body = {
            "service": "shop",
            "policy": policy,
            "candidate": {"version": version, "target": colour},
            "baseline": {"version": baseline[0], "target": baseline[1]},
        }
        token = {"Authorization": f"Bearer {self._stage.token}"}
        async with self._session.post(self._stage.url("healthd", "/gates/verify"), json=body, headers=token) as answer:
            answer.raise_for_status()
            gate = (await answer.json())["id"]
        self.say(f"POST /gates/verify · watch it on {self._stage.url('healthd', f'/gates/{gate}/page')}")
        where = self._stage.url("healthd", f"/gates/{gate}")
        told: tuple[str, ...] = ()
        weight = 0.0
        while True:
            async with self._session.get(where) as answer:
                document = await answer.json()
            if (ramp := document["ramp"]) and ramp["weight"] > weight:
                weight = ramp["weight"]
                self.say(f"{weight:.2%} of the traffic")
            told = self._tell(document, told)
            rollback = document["rollback"]
            if document["decision"] and (rollback is None or rollback["state"] not in ("due", "confirming")):
                return str(document["verdict"])
            await asyncio.sleep(1)

    def _tell(self, document: dict[str, object], told: tuple[str, ...]) -> tuple[str, ...]:
        """Say what is new in a gate's document."""
        news: list[str] = []
        decision, rollback = document["decision"], document["rollback"]
        if isinstance(decision, dict):
            news.append(f"{document['verdict']}: {decision['sentence']}")
        if isinstance(rollback, dict):
            news.append("the traffic is put back")
            if rollback["state"] not in ("due", "confirming"):
                news.append(f"rollback: {rollback['state']}")
        for text in news[len(told) :]:
            self.say(text)
        return tuple(news)


async def play(*, keep: bool) -> bool:
    """True if every deploy ended as promised."""
    async with staged() as stage, aiohttp.ClientSession() as session:
        customers = Customers(stage.url("switch", "/"), RATE)
        coming = asyncio.create_task(customers.come(), name="customers")
        story = Play(stage, session, customers)
        story.say(f"version 1.0 is on blue, {RATE:.0f} requests come a second; open {stage.url('healthd', '/')}")
        try:
            good = await story.deploy("2.0", "green", ("1.0", "blue"))
            bad = await story.deploy("3.0", "blue", ("2.0", "green"), errors=0.1)
            widened = await story.deploy("4.0", "blue", ("2.0", "green"), errors=0.1, widened=True)
            promised = (good, bad, widened) == ("pass", "fail", "fail")
            story.say("as promised: the good one stayed, the bad ones are gone" if promised else "not as promised")
            if keep:
                await asyncio.to_thread(input, "Everything still runs. Press Enter to end it. ")
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    return promised


async def _played(*, keep: bool) -> bool:
    """Play; SIGTERM ends what runs, and takes away the folder, as Ctrl-C does."""
    playing = asyncio.ensure_future(play(keep=keep))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    return await playing


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave it running at the end, to look around")
    options = parser.parse_args()
    try:
        sys.exit(0 if asyncio.run(_played(keep=options.keep)) else 1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except NotStartedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
