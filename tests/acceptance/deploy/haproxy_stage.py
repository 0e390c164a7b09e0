"""HAProxy before blue, which has the traffic with version 1.0, and green; and the daemon that judges them."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.fleet import Fleet
from tests.acceptance.deploy.test_nginx import _POLICY, ended
from tests.acceptance.deploy.test_nginx_ramp import BUDGET, POLICY
from tests.servers import daemon, haproxy
from tests.servers.command import Outcome, Running, started
from tests.servers.daemon import Daemon
from tests.servers.haproxy import HAProxy

SOURCE = {"kind": "scrape", "requests": "app_requests_total", "errors": 'app_requests_total{status="500"}'}
_CHECK = "check inter 100ms fall 2 rise 1"


@dataclass(frozen=True)
class Stage:
    """Balancers, hosts and daemon. The file of the tool is `deploy.json`, its record `versions.json`."""

    fleet: Fleet
    balancers: list[HAProxy]
    daemon: Daemon
    folder: Path

    @property
    def url(self) -> str:
        return self.balancers[0].url

    def weights(self) -> list[tuple[str, str]]:
        """The weights of blue's and of green's server, at each balancer."""
        return [(it.server("web", "b1")["weight"], it.server("web", "g1")["weight"]) for it in self.balancers]

    def versions(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "versions.json").read_text()))

    async def start(self, *words: str) -> Running:
        return await started(
            "healthd-deploy", "haproxy", "blue-green", *words, "--config", str(self.folder / "deploy.json")
        )

    async def deploy(self, *words: str) -> Outcome:
        return await ended(await self.start(*words))

    async def gates(self) -> list[dict[str, Any]]:
        env = {"HEALTHD_URL": self.daemon.url, "HEALTHD_TOKEN": daemon.TOKEN}
        listed = await started("healthd", "gate", "list", "--json", env=env)
        out, _ = await listed.communicate()
        return list(json.loads(out)["gates"])


@asynccontextmanager
async def staged(folder: Path, failing: dict[str, float] | None = None, *, balancers: int = 1) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        hosts = await stack.enter_async_context(fleet.running(failing or {}, blue="1.0", green="0.9"))
        ends = {host: url.removeprefix("http://") for host, url in hosts.urls.items()}
        green = f"server g1 {ends['green']} weight 0 {_CHECK}"
        web = f"backend web\n server b1 {ends['blue']} weight 100 {_CHECK}\n {green}"
        running = [stack.enter_context(haproxy.running(f"default_backend web\n{web}")) for _ in range(balancers)]
        traffic = {
            "sockets": [str(balancer.stats) for balancer in running],
            "backend": "web",
            "servers": {"blue": ["b1"], "green": ["g1"]},
        }
        judging = await stack.enter_async_context(daemon.running(_settings(folder, hosts.urls, traffic)))
        (folder / "versions.json").write_text(json.dumps({"blue": "1.0", "green": "0.9"}))
        tool = {
            "service": "api",
            "healthd": {"url": judging.url, "token": daemon.TOKEN, "retry_for": "5s"},
            "gates": {"before": [], "after": "post-switch", "ramp": "gradual"},
            "traffic": {**traffic, "versions": str(folder / "versions.json")},
            "release": {"argv": hosts.argv, "timeout": "20s"},
            "undo_within": "10s",
        }
        (folder / "deploy.json").write_text(json.dumps(tool))
        yield Stage(hosts, running, judging, folder)


def _settings(folder: Path, targets: dict[str, str], traffic: dict[str, Any]) -> dict[str, Any]:
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "services": {"api": {"targets": targets, "source": SOURCE, "on_fail": ["weigh"], "on_ramp": ["weigh"]}},
        "policies": {
            "post-switch": _POLICY,
            "gradual": POLICY | {"ramp": {"budget": BUDGET, "timeout": "3m"}},
        },
        "actions": {"weigh": {"kind": "haproxy", **traffic}},
    }
