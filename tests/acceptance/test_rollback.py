"""A deploy behind NGINX under load: a bad version is rolled back without a human, a good one stays."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers import daemon, forked, nginx, version
from tests.servers.daemon import Daemon
from tests.servers.requests import Load
from tests.servers.waiting import until

SWITCH = Path(__file__).with_name("switch.py")
_FAILING = 0.1
POLICY = {
    "initial_delay": "1s",
    "interval": "1s",
    "observe": {"min": "3s", "max": "25s"},
    "criteria": [{"kind": "error_rate", "limit": "3%"}],
    "confirm_timeout": "15s",
    "watch": "0s",
}


@dataclass(frozen=True)
class Stage:
    """NGINX in front of three versions, of which `red` is bad."""

    balancer: nginx.Nginx
    targets: dict[str, str]
    environment: dict[str, str]
    journal: str

    def switch(self, target: str) -> None:
        """As the deploy tool does it."""
        subprocess.run([sys.executable, SWITCH, target], env=self.environment, check=True, capture_output=True)

    def configuration(self) -> dict[str, Any]:
        return {
            "journal": self.journal,
            "checks": {},
            "services": {
                "shop": {
                    "targets": self.targets,
                    "source": {
                        "kind": "scrape",
                        "requests": "app_requests_total",
                        "errors": 'app_requests_total{status="500"}',
                    },
                    "policy": "quick",
                    "on_fail": ["traffic-back"],
                }
            },
            "policies": {"quick": POLICY},
            "actions": {
                "traffic-back": {
                    "kind": "command",
                    "argv": [sys.executable, str(SWITCH), "$baseline_target"],
                    "pass_env": list(self.environment),
                }
            },
        }


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    include = folder / "upstream.conf"
    with ExitStack() as stack:
        versions = {"blue": ("1.0", 0.0), "green": ("1.1", 0.0), "red": ("2.0", _FAILING)}
        targets = {name: stack.enter_context(version.running(*spec)).url for name, spec in versions.items()}
        include.write_text(f"proxy_pass {targets['blue']};\n")
        location = f"location / {{ include {include}; proxy_next_upstream off; }}"
        balancer = stack.enter_context(nginx.running(f"server {{ listen @LISTEN@; {location} }}"))
        environment = {
            "SWITCH_UPSTREAMS": json.dumps(targets),
            "SWITCH_FILE": str(include),
            "SWITCH_PID": str(balancer.file.parent / "pid"),
        }
        yield Stage(balancer, targets, environment, f"sqlite:///{folder}/journal.db")


async def verified(gates: Daemon, candidate: tuple[str, str], baseline: tuple[str, str]) -> tuple[int, Any]:
    """`healthd gate verify` as a pipeline calls it: its exit code and the gate once it is over."""
    words = ["verify", "shop", candidate[0], "--target", candidate[1], "--baseline", baseline[0]]
    words += ["--baseline-target", baseline[1], "--json"]
    process = await asyncio.create_subprocess_exec(
        forked.program("healthd"), "gate", *words, env={"HEALTHD_URL": gates.url, "HEALTHD_TOKEN": daemon.TOKEN},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode in (0, 1), err.decode()
    gate = json.loads(out)
    async with aiohttp.ClientSession(gates.url, headers=daemon.AUTHORIZED) as client:

        async def over() -> bool:
            async with client.get(f"/gates/{gate['id']}") as response:
                assert response.status == 200, await response.text()
                gate.update(await response.json())
            return bool(gate["state"] == "finished")

        await until(over, "the end of the gate")
        async with client.get(f"/gates/{gate['id']}/actions") as response:
            gate["actions"] = (await response.json())["actions"]
    assert process.returncode is not None
    return process.returncode, gate


async def test_a_bad_version_is_rolled_back_and_a_good_one_stays(tmp_path: Path) -> None:
    """No request is lost by the switches; what fails is what the bad version failed until it was found out."""
    with staged(tmp_path) as stage:
        load = Load(stage.balancer.url)
        async with daemon.running(stage.configuration(), env=stage.environment) as gates, load.running():
            stage.switch("green")
            code, good = await verified(gates, ("1.1", "green"), ("1.0", "blue"))
            assert (code, good["verdict"], good["may_stay"], good["actions"]) == (0, "pass", True, [])
            assert {status for _, status in load.seen} == {200}
            load.seen.clear()
            stage.switch("red")
            code, bad = await verified(gates, ("2.0", "red"), ("1.1", "green"))
            (action,) = bad["actions"]
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 100, "more requests")
    assert (code, bad["verdict"], bad["may_stay"]) == (1, "fail", False)
    assert bad["rollback"]["state"] == "rolled_back", bad["rollback"]
    assert (action["state"], action["tries"]) == ("done", 1)
    assert action["detail"] == "exit code 0: the traffic goes to green"
    assert set(load.seen[settled:]) == {("1.1", 200)}
    by_answer = Counter(load.seen)
    failed = sum(count for (_, status), count in by_answer.items() if status != 200)
    assert failed == by_answer["2.0", 500], by_answer
    requests = by_answer["2.0", 200] + failed
    assert failed <= requests * 0.12
    print(f"the bad version got {requests} requests, of which {failed} failed; none failed for another reason")
