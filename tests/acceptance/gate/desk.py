"""The whole of it on one desk: two versions of a service behind NGINX, traffic, Prometheus if wanted, and healthd.

What is asked of the gates, and what they must say, is in the tests.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthd.web.auth import new_token
from healthd_gates.client.client import GateClient
from tests.acceptance.gate import load, shop
from tests.acceptance.gate.shop import Flaw, Shops
from tests.servers import daemon, forked, nginx, prometheus
from tests.servers.programs import require
from tests.servers.waiting import until

OLD, NEW = "v1", "v2"
WAIT = "100s"
PATIENCE = 60.0  # seconds; a loaded machine is slow to start seven processes


@dataclass(frozen=True)
class Case:
    """A service of the configuration: which shop it is, how its traffic is counted, and what it must keep to."""

    shop: str
    source: str = "prometheus"
    policy: str = "quick"


@dataclass(frozen=True)
class Ended:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """Everything, running."""

    old: Shops
    new: Shops
    front: nginx.Nginx
    prometheus: prometheus.Prometheus | None
    healthd: daemon.Daemon
    log: load.Log
    token: str
    journal: Path
    shops: tuple[str, ...]

    def client(self) -> GateClient:
        return GateClient(self.healthd.url, self.token, retry_for=PATIENCE)

    async def curl(self, path: str, *words: str) -> Ended:
        """The real one, with the token of a pipeline."""
        bearer = ("-H", f"Authorization: Bearer {self.token}")
        return await run(require("curl"), "-s", *bearer, *words, self.healthd.url + path)

    async def verify(self, service: str, *words: str, canary: bool = False, fail: str = "-f") -> Ended:
        """A pipeline's call, which ends with the verdict."""
        asked: dict[str, Any] = {"service": service, "candidate": {"version": NEW, "target": "green"}}
        if canary:
            asked["baseline"] = {"version": OLD, "target": "blue"}
        return await self.curl(f"/gates/verify?wait={WAIT}", fail, "-X", "POST", "-d", json.dumps(asked), *words)

    async def command(self, *words: str) -> Ended:
        """`healthd`, asking this daemon."""
        known = {"HEALTHD_URL": self.healthd.url, "HEALTHD_TOKEN": self.token, "PATH": "/usr/bin:/bin"}
        return await run(forked.program("healthd"), *words, env=known)

    async def gate_of(self, service: str) -> dict[str, Any]:
        """The latest gate of a service, once there is one."""
        found: list[dict[str, Any]] = []

        async def is_there() -> bool:
            found[:] = (await self.curl(f"/gates?service={service}", "-f")).body["gates"]
            return bool(found)

        await until(is_there, f"a gate of {service}", PATIENCE)
        return found[0]

    async def switch(self, shares: Mapping[str, int]) -> None:
        """Let NGINX send so many percent of each shop's traffic to the new version, and wait until it does."""
        self.front.reload(_front(self.old, self.new, self.shops, shares))

        def is_switched() -> bool:
            return {one.shop for one in self.log.all() if one.version == NEW} >= shares.keys()

        await until(is_switched, f"traffic of {', '.join(shares)} on {NEW}", PATIENCE)


@asynccontextmanager
async def desk(
    folder: Path,
    cases: Mapping[str, Case],
    *,
    flaws: Mapping[str, Flaw],
    old_flaws: Mapping[str, Flaw],
    rates: Mapping[str, float],
) -> AsyncIterator[Desk]:
    """All the traffic at first goes to the old version. `flaws` are those of the new one."""
    token, hashed = new_token()
    counted = {case.source for case in cases.values()}
    async with AsyncExitStack() as stack:
        old = stack.enter_context(shop.running(OLD, old_flaws))
        new = stack.enter_context(shop.running(NEW, flaws))
        scraping: prometheus.Prometheus | None = None
        if "prometheus" in counted:
            scraping = stack.enter_context(prometheus.running({OLD: [old.address], NEW: [new.address]}, every="1s"))
        front = stack.enter_context(nginx.running(_front(old, new, tuple(rates), {})))
        log = stack.enter_context(load.running(front.url, rates))
        configuration = {
            "http": {"drain": "10ms"},
            "journal": f"sqlite:///{folder / 'journal.db'}",
            "auth": {"tokens": [{"name": "pipeline", "hash": hashed, "scopes": ["gates:verify", "gates:read"]}]},
            "policies": POLICIES,
            "gates": {"lease_duration": "2s"},
            "services": {
                name: {
                    "targets": {"blue": old.url, "green": new.url},
                    "source": _source(case, scraping),
                    "policy": case.policy,
                }
                for name, case in cases.items()
            },
        }
        healthd = await stack.enter_async_context(daemon.running(configuration))
        whole = Desk(old, new, front, scraping, healthd, log, token, folder / "journal.db", tuple(rates))
        async with whole.client() as client:
            await client.gates()  # asked again until the journal is open
        if scraping is not None:
            await scraping_now(scraping)
        yield whole


async def run(*argv: object, env: Mapping[str, str] | None = None) -> Ended:
    """A command to its end."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def scraping_now(server: prometheus.Prometheus) -> None:
    """Wait until what it knows of both versions is of this moment."""

    async def is_fresh() -> bool:
        return len(await server.query("time() - timestamp(up) < 2")) == 2

    await until(is_fresh, "fresh scrapes", PATIENCE)


def _source(case: Case, server: prometheus.Prometheus | None) -> dict[str, Any]:
    series = f'shop="{case.shop}",version="$version"'
    counted = {
        "requests": f"http_requests_total{{{series}}}",
        "errors": f'http_requests_total{{{series},status=~"5.."}}',
        "latency": f"http_request_duration_seconds_bucket{{{series}}}",
    }
    match case.source:
        case "prometheus":
            assert server is not None
            signs = {"up": 'up{job="$version"}', "started": 'process_start_time_seconds{job="$version"}'}
            return {"kind": "prometheus", "url": server.url, "timeout": "2s", **counted, **signs}
        case "scrape":
            return {"kind": "scrape", **counted}
        case "probe":
            return {"kind": "probe", "rate": 100, "keep_alive": True, "requests": [{"get": f"/{case.shop}/"}]}
    return {"kind": case.source}


def _front(old: Shops, new: Shops, shops: Sequence[str], shares: Mapping[str, int]) -> str:
    """NGINX's part: which version has a shop's traffic, or how much of it."""
    upstreams = [
        f"upstream {name} {{ server {shops.address}; keepalive 32; keepalive_requests 100000; }}"
        for name, shops in (("old", old), ("new", new))
    ]
    splits = [f'split_clients "$request_id" ${one} {{ {_split(shares.get(one, 0))} }}' for one in shops]
    locations = [f"location /{one}/ {{ proxy_pass http://${one}; }}" for one in shops]
    server = [
        "server {",
        "listen @LISTEN@; keepalive_requests 100000;",
        'proxy_http_version 1.1; proxy_set_header Connection "";',
        *locations,
        "}",
    ]
    return "\n".join([*upstreams, *splits, *server])


def _split(share: int) -> str:
    return {0: "* old;", 100: "* new;"}.get(share, f"{share}% new; * old;")


def _policy(*criteria: dict[str, Any], least: str = "5s", most: str = "80s") -> dict[str, Any]:
    return {
        "initial_delay": "2s",
        "interval": "1s",
        "observe": {"min": least, "max": most},
        "criteria": criteria,
    }


_FEW_ERRORS = {"kind": "error_rate", "limit": "5%"}
_QUICK = {"kind": "latency", "quantile": 0.95, "limit": "1s"}
_NO_WORSE = {"kind": "error_rate", "limit": "15%", "compare": {"to": "concurrent"}}
POLICIES = {
    "quick": _policy(_FEW_ERRORS, _QUICK),
    "counts": _policy(_FEW_ERRORS),
    "canary": _policy(_NO_WORSE),
    "brief": _policy(_FEW_ERRORS, most="5s"),
    "patient": _policy(_FEW_ERRORS, least="12s", most="14s"),
}
