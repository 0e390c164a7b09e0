"""Plays the demo: starts everything on loopback, deploys a good version, a bad one, and a bad one step by step; says
what happened, and cleans up.

Exit code 0 when the good one passed and the bad ones were rolled back.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import aiohttp

from deploy.demo.customers import Customers
from healthd.web.auth import new_token

RATE = 150.0
_CONFIG = """\
http: {{listen: "127.0.0.1:{healthd}", drain: 100ms}}
journal: sqlite:///{folder}/healthd.db
log: {{level: warning}}
auth:
  trust_loopback: true
  tokens: [{{name: demo, hash: "{token_hash}", scopes: [admin]}}]
defaults: {{interval: 5s}}
checks:
  shop: {{kind: http, url: "http://127.0.0.1:{switch}/", expect: {{status: [200, 500]}}, critical: true}}
  memory: {{kind: memory}}
  disk: {{kind: disk}}
services:
  shop:
    targets: {{blue: "http://127.0.0.1:{blue}", green: "http://127.0.0.1:{green}"}}
    source:
      kind: scrape
      requests: http_requests_total
      errors: 'http_requests_total{{status=~"5.."}}'
      latency: http_request_duration_seconds_bucket
    on_fail: [traffic-back]
actions:
  traffic-back: {{kind: webhook, url: "http://127.0.0.1:{switch}/back", secret: {secret}}}
  weigh: {{kind: webhook, url: "http://127.0.0.1:{switch}/weigh", secret: {secret}}}
policies:
  gradual:
    {{initial_delay: 5s, interval: 1s, blip: 2s, observe: {{min: 10s, max: 2m}}, watch: 0s, confirm_timeout: 30s,
     criteria: [{{kind: error_rate, limit: 5%, compare: {{to: concurrent}}}}],
     ramp: {{budget: 60}}, on_ramp: [weigh], on_fail: []}}
  post-switch: {{initial_delay: 5s, interval: 1s, observe: {{min: 10s, max: 2m}}, watch: 0s, confirm_timeout: 30s}}
"""
_PROMETHEUS = """\
global: {{scrape_interval: 2s}}
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{blue}", "127.0.0.1:{green}"]}}]}}
  - {{job_name: healthd, static_configs: [{{targets: ["127.0.0.1:{healthd}"]}}]}}
"""


class Stage:
    """The processes of the demo and the addresses at which they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: _free_port() for name in ("blue", "green", "switch", "prometheus")}
        self.ports["healthd"] = _free_port(8080)
        self.secret = secrets.token_hex(16)
        self.token, self.token_hash = new_token()
        self._running: dict[str, asyncio.subprocess.Process] = {}

    def url(self, name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    async def start(self, name: str, *command: str) -> None:
        """Start a process, or another one in the place of an earlier one, and wait until it answers."""
        await self.stop(name)
        log = (self.folder / f"{name}.log").open("ab")
        self._running[name] = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        await _answers(self.url(name, {"healthd": "/health/ready", "prometheus": "/-/ready"}.get(name, "/")))

    async def release(self, colour: str, version: str, *, errors: float = 0.0) -> None:
        """Put a version of the shop on a colour."""
        port = str(self.ports[colour])
        await self.start(
            colour,
            sys.executable,
            "-m",
            "deploy.demo.shop",
            port,
            version,
            "--errors",
            str(errors),
            "--seconds",
            "0.01",
        )

    async def stop(self, name: str) -> None:
        if (process := self._running.pop(name, None)) is not None:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def close(self) -> None:
        for name in list(self._running):
            await self.stop(name)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Blue with version 1, the switch on blue, healthd, and Prometheus where there is one."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="healthd-demo-")))
        stage = Stage(folder)
        stack.push_async_callback(stage.close)
        await stage.release("blue", "1.0")
        colours = [f"{colour}={stage.url(colour)}" for colour in ("blue", "green")]
        port = str(stage.ports["switch"])
        await stage.start("switch", sys.executable, "-m", "deploy.demo.switch", port, stage.secret, *colours)
        config = folder / "healthd.yaml"
        config.write_text(
            _CONFIG.format(folder=folder, secret=stage.secret, token_hash=stage.token_hash, **stage.ports)
        )
        await stage.start("healthd", sys.executable, "-m", "healthd", "run", "--config", str(config))
        if prometheus := shutil.which("prometheus"):
            file = folder / "prometheus.yml"
            file.write_text(_PROMETHEUS.format(**stage.ports))
            listen = f"--web.listen-address=127.0.0.1:{stage.ports['prometheus']}"
            data = f"--storage.tsdb.path={folder}/prometheus"
            await stage.start("prometheus", prometheus, f"--config.file={file}", data, listen)
        yield stage


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


def _free_port(wanted: int = 0) -> int:
    """A free port, the wanted one if it is."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _free_port()
        port: int = probe.getsockname()[1]
        return port


async def _answers(url: str, patience: float = 30.0) -> None:
    """Wait until somebody answers there. Raises TimeoutError."""
    async with asyncio.timeout(patience), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status < 502:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


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


if __name__ == "__main__":
    main()
