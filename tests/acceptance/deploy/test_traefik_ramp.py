"""`healthd-deploy traefik blue-green --strategy ramp` under load, behind a real Traefik."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.test_nginx import ended
from tests.acceptance.deploy.test_nginx_ramp import BUDGET, POLICY
from tests.servers import daemon, traefik
from tests.servers.command import Outcome, started
from tests.servers.requests import Load
from tests.servers.traefik import Traefik
from tests.servers.waiting import until

_FIRST = {"services": [{"name": "blue", "weight": 1}, {"name": "green", "weight": 0}]}


def _settings(folder: Path, targets: dict[str, str], weigh: dict[str, Any]) -> dict[str, Any]:
    source = {"kind": "scrape", "requests": "app_requests_total", "errors": 'app_requests_total{status="500"}'}
    services = {"api": {"targets": targets, "source": source, "policy": "gradual", "on_ramp": ["weigh"]}}
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "services": services,
        "policies": {"gradual": POLICY | {"ramp": {"budget": BUDGET, "timeout": "3m"}}},
        "actions": {"weigh": {"kind": "traefik", **weigh}},
    }


@asynccontextmanager
async def staged(folder: Path, failing: dict[str, float]) -> AsyncIterator[Traefik]:
    """Version 1.0 on blue has the traffic; the file of the tool is `deploy.json`."""
    async with fleet.running(failing, blue="1.0", green="0.9") as hosts:
        services = {host: {"loadBalancer": {"servers": [{"url": url}]}} for host, url in hosts.urls.items()}
        router = {"rule": "PathPrefix(`/`)", "service": "api", "entryPoints": ["traefik"], "priority": 1}
        files = {
            "weights.yml": {"http": {"services": {"api": {"weighted": _FIRST}}}},
            "rest.yml": {"http": {"routers": {"api": router}, "services": services}},
        }
        with traefik.running(files) as balancer:
            weigh = {
                "file": str(balancer.folder / "weights.yml"),
                "service": "api",
                "services": {"blue": "blue", "green": "green"},
                "apis": [balancer.url],
            }
            async with daemon.running(_settings(folder, hosts.urls, weigh)) as judging:
                tool = {
                    "service": "api",
                    "healthd": {"url": judging.url, "token": daemon.TOKEN, "retry_for": "5s"},
                    "gates": {"before": [], "ramp": "gradual"},
                    "strategy": "ramp",
                    "traffic": weigh,
                    "release": {"argv": hosts.argv, "timeout": "20s"},
                }
                (folder / "deploy.json").write_text(json.dumps(tool))
                yield balancer


async def deploy(folder: Path, *words: str) -> Outcome:
    command = ["healthd-deploy", "traefik", "blue-green", *words, "--config", str(folder / "deploy.json")]
    return await ended(await started(*command))


async def test_good_gets_everything_and_bad_is_back_at_nothing(tmp_path: Path) -> None:
    """Counted by those who were harmed: no request of the good one fails, and of the bad one about the budget."""
    async with staged(tmp_path, {"2.0": 0.1}) as balancer, Load(balancer.url).running() as load:
        good = await deploy(tmp_path, "1.1")
        assert good.code == 0, good.err
        assert "let healthd move the traffic from blue to green" in good.err
        assert [each for each in load.seen if each[1] != 200] == []
        load.seen.clear()
        bad = await deploy(tmp_path, "2.0", "--json")
        settled = len(load.seen)
        await until(lambda: len(load.seen) > settled + 50, "more requests")
        weighted = balancer.service("api@file")["weighted"]["services"]
    assert bad.code == 1, bad.err
    assert {each["name"]: each["weight"] for each in weighted} == {"blue": 0, "green": 10_000}
    assert set(load.seen[settled + 10 :]) == {("1.1", 200)}
    failed = Counter(load.seen)["2.0", 500]
    assert sum(status != 200 for _, status in load.seen) == failed
    assert 0 < failed <= 1.5 * BUDGET
