"""A release behind a real HAProxy that healthd widens under load, by the Runtime API."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.fleet import Fleet
from tests.acceptance.deploy.test_nginx_ramp import BUDGET, POLICY, rolled_out
from tests.servers import daemon, haproxy
from tests.servers.daemon import Daemon
from tests.servers.haproxy import HAProxy
from tests.servers.requests import Load
from tests.servers.waiting import until


@dataclass(frozen=True)
class Stage:
    """HAProxy before blue, which has the traffic, and green; and the daemon that judges them."""

    fleet: Fleet
    balancer: HAProxy
    daemon: Daemon


@asynccontextmanager
async def staged(folder: Path, failing: dict[str, float]) -> AsyncIterator[Stage]:
    async with fleet.running(failing, blue="1.0", green="0.9") as hosts:
        ends = {host: url.removeprefix("http://") for host, url in hosts.urls.items()}
        backend = f"backend web\n server b1 {ends['blue']} weight 100\n server g1 {ends['green']} weight 0\n"
        with haproxy.running(f"default_backend web\n{backend}") as balancer:
            settings = {
                "journal": f"sqlite:///{folder}/journal.db",
                "services": {
                    "api": {
                        "targets": hosts.urls,
                        "source": {
                            "kind": "scrape",
                            "requests": "app_requests_total",
                            "errors": 'app_requests_total{status="500"}',
                        },
                        "policy": "gradual",
                        "on_ramp": ["weigh"],
                    }
                },
                "policies": {"gradual": POLICY | {"ramp": {"budget": BUDGET, "timeout": "3m"}}},
                "actions": {
                    "weigh": {
                        "kind": "haproxy",
                        "sockets": [str(balancer.stats)],
                        "backend": "web",
                        "servers": {"blue": ["b1"], "green": ["g1"]},
                    }
                },
            }
            async with daemon.running(settings) as judging:
                yield Stage(hosts, balancer, judging)


async def test_good_gets_everything_and_bad_is_back_at_nothing(tmp_path: Path) -> None:
    """Not a request of the good one fails; of the bad one about the budget, counted by those who were harmed."""
    async with staged(tmp_path, {"2.0": 0.1}) as stage, Load(stage.balancer.url).running() as load:
        bad = await rolled_out(stage, "2.0")
        assert bad.verdict == "fail", bad
        assert bad.rollback is not None
        assert bad.rollback.state == "rolled_back", bad.rollback
        failed = Counter(load.seen)["2.0", 500]
        assert sum(status != 200 for _, status in load.seen) == failed
        assert 0 < failed <= 1.5 * BUDGET
        load.seen.clear()
        good = await rolled_out(stage, "2.1")
        assert good.verdict == "pass", good
        settled = len(load.seen)
        await until(lambda: len(load.seen) > settled + 50, "more requests")
        assert {status for _, status in load.seen} == {200}
        assert set(load.seen[settled + 10 :]) == {("2.1", 200)}
