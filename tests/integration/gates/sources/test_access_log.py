"""NGINX's own log, under load and rotated meanwhile: the counts are those of the load generator's own log."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGUSR1
from typing import Any

import aiohttp
import pytest

from healthd_gates.sources.contract import Arm
from tests.fakes.sources import Desk, desk
from tests.integration.gates.sources import shop
from tests.servers import nginx
from tests.servers.ports import HOST, free_port
from tests.servers.process import own_folder
from tests.servers.waiting import until

FORMAT = (
    '$remote_addr [$time_local] "$request" $status $request_time "$http_user_agent" '
    "$upstream_addr $upstream_status $upstream_response_time"
)


@dataclass
class Sent:
    """What the load generator sent to each arm, and the statuses that came back."""

    candidate: Counter[int] = field(default_factory=Counter)
    baseline: Counter[int] = field(default_factory=Counter)
    going: bool = True

    @property
    def total(self) -> int:
        return self.candidate.total() + self.baseline.total()

    async def send(self, url: str, requests: int) -> None:
        """Requests to both, ten at a time, one in ten of them bad."""
        numbers = iter(range(requests))

        async def sender(client: aiohttp.ClientSession) -> None:
            while self.going and (number := next(numbers, None)) is not None:
                arm = "candidate" if number % 3 else "baseline"
                async with client.get(f"{url}/{arm}/{'fail' if number % 10 == 0 else ''}") as answer:
                    await answer.read()
                    getattr(self, arm)[answer.status] += 1

        async with aiohttp.ClientSession() as client:
            await asyncio.gather(*(sender(client) for _ in range(10)))


@pytest.fixture
def log() -> Iterator[Path]:
    """In a folder in which NGINX's workers may open it anew."""
    with own_folder() as folder:
        yield folder / "access.log"


async def more(sent: Sent) -> None:
    """Wait for some more requests."""
    before = sent.total
    await until(lambda: sent.total > before + 40, "no requests are sent")


def counted(gate: Desk) -> list[tuple[float, float]]:
    totals = [gate.total(arm) for arm in ("candidate", "baseline")]
    return [(total.requests, total.errors) if total else (0, 0) for total in totals]


async def agrees(gate: Desk, sent: Sent) -> None:
    """Look until all was seen, and once more to see that nothing is counted twice."""
    expected = [(float(arm.total()), float(arm[500])) for arm in (sent.candidate, sent.baseline)]

    async def looked() -> bool:
        await gate.look()
        return counted(gate) == expected

    await until(looked, lambda: f"{expected} in {counted(gate)}")
    await asyncio.sleep(0.3)
    await gate.look()
    assert counted(gate) == expected
    assert gate.gaps == 0


async def test_through_rotation_and_restarts_under_load(log: Path) -> None:
    """Renamed and reopened, gzip'd at once, copied and truncated; the gate is killed in between, and goes on."""
    sent = Sent()
    with shop.running("v2") as new, shop.running("v1") as old:
        places = f"location /candidate/ {{ proxy_pass {new.url}/; }} location /baseline/ {{ proxy_pass {old.url}/; }}"
        http = f"log_format t '{FORMAT}'; server {{ listen @LISTEN@; access_log {log} t; {places} }}"
        with nginx.running(http) as proxy:
            config = {"kind": "access_log", "file": str(log), "format": FORMAT}
            arms: dict[str, Any] = {"candidate": Arm("v2", urls=(new.url,)), "baseline": Arm("v1", urls=(old.url,))}
            await Sent().send(proxy.url, 20)  # before the gate: not evidence
            gate = desk(config, **arms)
            await gate.look()
            load = asyncio.create_task(sent.send(proxy.url, 100_000))
            for pack in (False, True, False):
                await more(sent)
                await gate.look()
                await more(sent)
                for number in (3, 2, 1):
                    if (older := log.with_name(f"access.log.{number}")).exists():
                        older.rename(log.with_name(f"access.log.{number + 1}"))
                log.rename(log.with_name("access.log.1"))
                await more(sent)
                proxy.process.send(SIGUSR1)
                await until(log.exists, "NGINX has not reopened its log")
                await more(sent)
                if pack:
                    await gate.look()
                    packed, rotated = log.with_name("access.log.1.gz"), log.with_name("access.log.1")
                    packed.write_bytes(gzip.compress(rotated.read_bytes()))
                    rotated.unlink()
                await gate.source.close()
                looks, cursor = gate.looks, gate.cursor
                gate = desk(config, **arms)
                gate.looks, gate.cursor = looks, cursor
            sent.going = False
            await load
            await agrees(gate, sent)
            log.with_name("access.log.1").rename(log.with_name("access.log.5"))
            shutil.copyfile(log, log.with_name("access.log.1"))
            os.truncate(log, 0)
            sent.going = True
            await sent.send(proxy.url, 100)
            await agrees(gate, sent)
            await gate.source.close()
            total = gate.total()
            assert total is not None
            assert total.latency is not None
            assert total.latency.total == sent.candidate.total()


async def test_a_request_that_was_tried_twice(log: Path) -> None:
    """A server that is down is asked first: that is its failure, and the other one's request."""
    dead = f"{HOST}:{free_port()}"
    with shop.running("v1") as old:
        both = f"upstream both {{ server {dead} max_fails=0; server {old.address} backup; }}"
        http = f"log_format t '{FORMAT}'; {both} server {{ listen @LISTEN@; access_log {log} t; "
        with nginx.running(http + "location / { proxy_pass http://both; } }") as proxy:
            arms: dict[str, Any] = {
                "candidate": Arm("v2", urls=(f"http://{dead}",)),
                "baseline": Arm("v1", urls=(old.url,)),
            }
            gate = desk({"kind": "access_log", "file": str(log), "format": FORMAT}, **arms)
            await gate.look()
            async with aiohttp.ClientSession() as client:
                for _ in range(7):
                    async with client.get(proxy.url) as answer:
                        assert answer.status == 200

            async def looked() -> bool:
                await gate.look()
                return counted(gate) == [(7, 7), (7, 0)]

            await until(looked, lambda: f"{counted(gate)}")
            await gate.source.close()


@pytest.mark.parametrize("escape", ["json", "default"])
async def test_a_log_in_json_and_a_heartbeat(log: Path, escape: str) -> None:
    """While the heartbeat shows, silence is no traffic; and it is no traffic itself."""
    keys = ("status", "request_time", "upstream_addr", "request_uri", "http_user_agent")
    written = ",".join(f'"{key}":"${key}"' for key in keys)
    http = (
        f"log_format j escape={escape} '{{{written}}}'; server {{ listen @LISTEN@; access_log {log} j; return 204; }}"
    )
    with nginx.running(http) as proxy:
        heartbeat = {"url": f"{proxy.url}/", "interval": "1s"}
        config = {"kind": "access_log", "file": str(log), "format": "nginx_json", "heartbeat": heartbeat}
        gate = desk({**config, "value": "$target", "arms_by": "request_uri"}, candidate=Arm("2", target="green"))
        await gate.look()
        strange = {"User-Agent": 'a "strange" one'}
        async with aiohttp.ClientSession() as client, client.get(f"{proxy.url}/elsewhere", headers=strange):
            pass

        async def proven() -> bool:
            look = await gate.look()
            return look.evidence is not None and look.evidence.candidate is not None

        await until(proven, "the heartbeat does not show")
        await asyncio.sleep(1.2)
        await until(proven, "the heartbeat does not show")
        assert counted(gate)[0] == (0, 0)
        assert gate.gaps == 0
        await gate.source.close()
