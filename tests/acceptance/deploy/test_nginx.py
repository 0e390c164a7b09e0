"""`healthd-deploy nginx blue-green` under load, with a real NGINX, real versions and a real daemon."""

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from ruamel.yaml import YAML

from healthd_gates.client.client import GateClient
from tests.acceptance.deploy import fleet
from tests.acceptance.deploy.fleet import Fleet
from tests.acceptance.guide import Shell, blocks, carry_out
from tests.servers import daemon, nginx
from tests.servers.command import Outcome, Running, started
from tests.servers.daemon import Daemon
from tests.servers.ports import HOST
from tests.servers.requests import Load
from tests.servers.waiting import until

PAGE = Path(__file__).parents[3] / "docs/deploy/nginx.md"
_FAILING = 0.1
_POLICY = {
    "initial_delay": "1s",
    "interval": "1s",
    "observe": {"min": "3s", "max": "25s"},
    "criteria": [{"kind": "error_rate", "limit": "3%"}],
    "confirm_timeout": "15s",
    "watch": "0s",
}


@dataclass(frozen=True)
class Stage:
    """NGINX before blue and green, and the daemon that judges them."""

    fleet: Fleet
    balancer: nginx.Nginx
    daemon: Daemon
    folder: Path

    @property
    def upstream(self) -> str:
        return (self.folder / "api.conf").read_text()

    def live(self) -> str:
        return str(json.loads(self.upstream.splitlines()[0].partition("healthd-deploy ")[2])["live"])

    async def start(self, *words: str) -> Running:
        return await started("healthd-deploy", "nginx", *words, "--config", str(self.folder / "deploy.json"))

    async def deploy(self, *words: str) -> Outcome:
        return await ended(await self.start(*words))

    async def gates(self) -> list[dict[str, Any]]:
        env = {"HEALTHD_URL": self.daemon.url, "HEALTHD_TOKEN": daemon.TOKEN}
        listed = await started("healthd", "gate", "list", "--json", env=env)
        out, _ = await listed.communicate()
        return list(json.loads(out)["gates"])


async def ended(process: Running) -> Outcome:
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


def documented(folder: Path, action: str = "traffic-back") -> dict[str, Any]:
    """The action of the page as it stands, but for where the tool's configuration is."""
    blocks = re.findall(r" *```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    block = next(block for block in blocks if action in block)
    written = dedent(block).replace("/etc/healthd/blue-green.yaml", str(folder / "deploy.json"))
    return dict(YAML(typ="safe").load(written)["actions"])


def _settings(hosts: Fleet, folder: Path, *, rolls_back: bool) -> dict[str, Any]:
    return {
        "journal": f"sqlite:///{folder}/journal.db",
        "checks": {"here": {"kind": "process", "interval": "1s", "timeout": "1s"}},
        "groups": {"preflight": {"checks": ["here"]}},
        "services": {
            "api": {
                "targets": hosts.urls,
                "source": {
                    "kind": "scrape",
                    "requests": "app_requests_total",
                    "errors": 'app_requests_total{status="500"}',
                },
                **({"on_fail": ["traffic-back"]} if rolls_back else {}),
            }
        },
        "policies": {
            "post-switch": _POLICY,
            "smoke": {"criteria": [{"kind": "smoke", "requests": [{"get": "/health", "status": 200}]}]},
        },
        "actions": documented(folder),
    }


@asynccontextmanager
async def staged(
    folder: Path,
    failing: dict[str, float] | None = None,
    *,
    rolls_back: bool = True,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> AsyncIterator[Stage]:
    """Version 1.0 on blue has the traffic."""
    include = folder / "api.conf"
    async with fleet.running(failing or {}, blue="1.0", green="0.9") as hosts:
        servers = {host: [url.removeprefix("http://")] for host, url in hosts.urls.items()}
        mark = json.dumps({"live": "blue", "versions": {"blue": "1.0", "green": "0.9"}})
        include.write_text(f"# healthd-deploy {mark}\nupstream api {{ server {servers['blue'][0]}; }}\n")
        location = "location / { proxy_pass http://api; proxy_next_upstream off; }"
        http = f"include {include}; server {{ listen @LISTEN@; {location} }}"
        with nginx.running(http) as balancer:
            own = ["nginx", "-e", "stderr", "-p", str(balancer.file.parent), "-c", str(balancer.file)]
            judging = _settings(hosts, folder, rolls_back=rolls_back)
            change(judging)
            async with daemon.running(judging) as gates:
                settings = {
                    "service": "api",
                    "healthd": {"url": gates.url, "token": daemon.TOKEN, "retry_for": "5s"},
                    "gates": {"before": ["preflight"], "idle": ["smoke"]},
                    "upstream": {
                        "file": str(include),
                        "name": "api",
                        "targets": servers,
                        "options": [],
                        "test": [*own, "-t", "-q"],
                        "reload": [*own, "-s", "reload"],
                        "pid": str(balancer.file.parent / "pid"),
                    },
                    "release": {"argv": hosts.argv, "timeout": "20s"},
                }
                (folder / "deploy.json").write_text(json.dumps(settings))
                yield Stage(hosts, balancer, gates, folder)


async def test_good_is_promoted_and_bad_is_put_back(tmp_path: Path) -> None:
    """Under load: nothing fails but what the bad version failed, and the report says how much and for how long."""
    async with staged(tmp_path, {"2.0": _FAILING}) as stage:
        load = Load(stage.balancer.url)
        async with load.running():
            good = await stage.deploy("blue-green", "1.1")
            assert good.code == 0, good.err
            assert stage.live() == "green"
            assert [each for each in load.seen if each[1] != 200] == []
            load.seen.clear()
            bad = await stage.deploy("blue-green", "2.0", "--json")
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 100, "more requests")
    assert bad.code == 1, bad.err
    assert "healthd: " in bad.err
    assert '"live": "green"' in stage.upstream
    assert set(load.seen[settled:]) == {("1.1", 200)}
    by_answer = Counter(load.seen)
    failed = sum(count for (_, status), count in by_answer.items() if status != 200)
    assert failed == by_answer["2.0", 500], by_answer
    report = bad.json()
    assert (report["ending"], report["version"]) == ("failed", "2.0")
    assert 0 < report["failed_requests"] <= failed
    assert 0 < report["exposed_seconds"] < 60
    print(f"{failed} of {by_answer['2.0', 200] + failed} requests failed in {report['exposed_seconds']:.0f} s")


async def test_without_actions_the_tool_itself_puts_the_traffic_back(tmp_path: Path) -> None:
    """A service without `on_fail` is no reason to leave a bad version its traffic."""
    async with staged(tmp_path, {"2.0": 0.5}, rolls_back=False) as stage, Load(stage.balancer.url).running():
        bad = await stage.deploy("blue-green", "2.0")
        assert bad.code == 1, bad.err
        assert stage.live() == "blue"
        assert "put the traffic back to blue" in bad.err
        again = await stage.deploy("blue-green", "2.0")
        assert again.code == 3
        assert "in quarantine" in again.out
        assert [version for _, version in stage.fleet.released].count("2.0") == 1


async def test_the_tool_is_killed_and_run_again(tmp_path: Path) -> None:
    """Killed in the middle of the gate, and run again with the same key: it joins the gate and ends as it would."""
    async with staged(tmp_path) as stage, Load(stage.balancer.url).running() as load:
        first = await stage.start("blue-green", "1.1", "--key", "run-7")
        await until(lambda: ("1.1", 200) in load.seen, "the switch")
        first.kill()
        await first.communicate()
        second = await stage.deploy("blue-green", "1.1", "--key", "run-7")
        assert second.code == 0, second.err
        assert stage.live() == "green"
        assert stage.fleet.released[-1] == ("green", "1.1")
        assert len([gate for gate in await stage.gates() if gate["policy"] == "post-switch"]) == 1


async def test_the_pipeline_of_the_live_version_is_run_again(tmp_path: Path) -> None:
    """It stays live whatever its gate says: nothing was switched, so that nothing is put back."""
    async with staged(tmp_path) as stage:
        before = list(stage.fleet.released)
        nobody_calls = await stage.deploy("blue-green", "1.0")
        assert nobody_calls.code == 2, nobody_calls.err
        assert (stage.live(), stage.fleet.released) == ("blue", before)
        async with Load(stage.balancer.url).running() as load:
            first = await stage.deploy("blue-green", "1.1")
            assert first.code == 0, first.err
            released = list(stage.fleet.released)
            again = await stage.deploy("blue-green", "1.1")
        assert again.code == 0, again.err
        assert "nothing to do" in again.out
        assert (stage.live(), stage.fleet.released) == ("green", released)
        assert [each for each in load.seen if each[1] != 200] == []


async def test_an_interrupted_deploy_is_undone(tmp_path: Path) -> None:
    """SIGTERM in the middle of the gate: the traffic is put back, the gate cancelled, the lock free."""
    async with staged(tmp_path) as stage, Load(stage.balancer.url).running() as load:
        deploy = await stage.start("blue-green", "1.1")
        await until(lambda: ("1.1", 200) in load.seen, "the switch")
        deploy.send_signal(signal.SIGTERM)
        outcome = await ended(deploy)
        assert outcome.code == 130, outcome.err
        assert stage.live() == "blue"
        assert "interrupted" in outcome.out
        again = await stage.deploy("blue-green", "1.1")
        assert again.code == 0, again.err


async def test_nothing_is_switched_to_what_cannot_serve(tmp_path: Path) -> None:
    """A version that fails its smoke requests gets no traffic."""
    async with staged(tmp_path, {"3.0": 1.0}) as stage:
        outcome = await stage.deploy("blue-green", "3.0")
        assert outcome.code == 1, outcome.err
        assert "gate smoke" in outcome.err
        assert stage.live() == "blue"
        assert "switch the traffic" not in outcome.err


async def test_a_switch_that_fails_is_passed_by_no_gate(tmp_path: Path) -> None:
    """Probes reach the idle target, with the traffic or without: they pass nothing before the switch is done."""

    def probed(judging: dict[str, Any]) -> None:
        judging["services"]["api"]["source"] = {"kind": "probe", "rate": 50}
        judging["policies"]["post-switch"] = {**_POLICY, "initial_delay": "0s", "observe": {"min": "1s", "max": "3s"}}

    async with staged(tmp_path, change=probed) as stage:
        settings = json.loads((tmp_path / "deploy.json").read_text())
        settings["upstream"]["reload"] = ["sh", "-c", "sleep 3; echo no pid >&2; exit 1"]
        settings["undo_within"] = "1s"
        (tmp_path / "deploy.json").write_text(json.dumps(settings))
        outcome = await stage.deploy("blue-green", "1.1")
        assert outcome.code != 0, outcome.err
        assert "no pid" in outcome.out
        (gate,) = [gate for gate in await stage.gates() if gate["policy"] == "post-switch"]
        assert (gate["verdict"], gate["may_stay"]) == ("cancelled", False)


async def test_a_live_target_that_is_mistyped(tmp_path: Path) -> None:
    """No way back would work: found before the release, also by a dry run; --no-rollback needs none."""
    async with staged(tmp_path) as stage:
        settings = json.loads((tmp_path / "deploy.json").read_text())
        settings["upstream"]["targets"]["blue"] = [f"{HOST}:1"]
        (tmp_path / "deploy.json").write_text(json.dumps(settings))
        before, released = stage.upstream, list(stage.fleet.released)
        for words in (["1.1", "--dry-run"], ["1.1"]):
            outcome = await stage.deploy("blue-green", *words)
            assert outcome.code == 3, outcome.err
            assert (
                f"there would be no way back to blue: blue cannot take the traffic ({HOST}:1: Connection refused)"
                in outcome.out
            )
            assert "deploy with --no-rollback" in outcome.out
        assert (stage.upstream, stage.fleet.released) == (before, released)
        outcome = await stage.deploy("blue-green", "1.1", "--dry-run", "--no-rollback")
        assert outcome.code == 0, outcome.err


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what it would do, and does none of it; a lock that someone holds is no obstacle to looking."""
    async with staged(tmp_path) as stage:
        before, released = stage.upstream, list(stage.fleet.released)
        outcome = await stage.deploy("blue-green", "1.1", "--dry-run")
        assert outcome.code == 0, outcome.err
        said = [line.partition("○ would ")[2] for line in outcome.err.splitlines() if "○" in line]
        asked = [re.sub(r": a verdict within [0-9hms]+, (shown)", r": \1", line) for line in said]
        assert asked == [
            "take the deploy lock of api",
            f"ask the gate preflight about 1.1: shown on {stage.daemon.url}/",
            "release 1.1 to green",
            f"ask the gate smoke about 1.1: shown on {stage.daemon.url}/",
            f"ask the gate post-switch about 1.1: shown on {stage.daemon.url}/",
            "switch the traffic from blue to green",
        ]
        assert (stage.upstream, stage.fleet.released) == (before, released)
        assert await stage.gates() == []


async def test_one_deploy_at_a_time(tmp_path: Path) -> None:
    """While someone else holds the deploy lock nothing is touched, and who it is is told."""
    async with staged(tmp_path) as stage, GateClient(stage.daemon.url, daemon.TOKEN) as client:
        await client.lock("api", "another", 60.0, "its turn")
        outcome = await stage.deploy("blue-green", "1.1")
        assert outcome.code == 3
        assert "another" in outcome.out
        assert ("green", "1.1") not in stage.fleet.released


async def test_two_runs_with_one_key(tmp_path: Path) -> None:
    """The second is refused before it does anything, and the first goes on."""
    async with staged(tmp_path) as stage, Load(stage.balancer.url).running():
        runs = [await stage.start("blue-green", "1.1", "--key", "run-7") for _ in range(2)]
        first, second = sorted([await ended(run) for run in runs], key=lambda outcome: outcome.code)
        assert (first.code, second.code) == (0, 3), (first.err, second.err)
        assert "another run of run-7 is under way" in second.out
        assert "gate" not in second.err
        assert [version for _, version in stage.fleet.released].count("1.1") == 1


async def test_a_bad_version_is_put_back_though_the_tool_is_dead(tmp_path: Path) -> None:
    """Killed right after the switch, it leaves a gate behind that puts the traffic back by itself."""
    async with staged(tmp_path, {"2.0": 0.5}) as stage, Load(stage.balancer.url).running() as load:
        deploy = await stage.start("blue-green", "2.0")
        await until(lambda: ("2.0", 200) in load.seen, "the switch")
        deploy.kill()
        out, err = await deploy.communicate()
        said = f"{out.decode()}{err.decode()}"
        await until(
            lambda: stage.live() == "blue",
            lambda: f"the rollback\n{said}\n{Counter(load.seen[-500:])}\n{stage.daemon.log()}",
        )
        async with GateClient(stage.daemon.url, daemon.TOKEN) as client:
            gate_id = (await stage.gates())[0]["id"]
            async for gate in client.follow(gate_id, to_the_end=True):
                ended = gate
        assert ended.rollback is not None
        assert ended.rollback.state == "rolled_back", ended.rollback


async def test_what_healthd_refuses_is_not_switched_to(tmp_path: Path) -> None:
    """In a freeze nothing is deployed, and the reason is told."""
    async with staged(tmp_path) as stage:
        settings = json.loads(stage.daemon.file.read_text())
        settings["freeze"] = [{"cron": "* * * * *", "for": "1h", "reason": "the weekend"}]
        stage.daemon.configure(settings)
        await until(lambda: "configuration loaded" in stage.daemon.log(), "the reload")
        outcome = await stage.deploy("blue-green", "1.1")
        assert outcome.code == 3, outcome.err
        assert "the weekend" in outcome.out
        assert stage.live() == "blue"


async def test_the_drill_of_the_page(tmp_path: Path) -> None:
    """As it is written: the rollback is carried out on a real NGINX, and confirmed."""
    async with staged(tmp_path) as stage, Load(stage.balancer.url).running():
        places = {
            "/etc/healthd/blue-green.yaml": str(tmp_path / "deploy.json"),
            "/etc/nginx/healthd/api.conf": str(tmp_path / "api.conf"),
        }
        (drill,) = [text for kind, text in blocks(PAGE, places) if kind == "console"]
        shell = Shell(tmp_path, stage.daemon.url, HEALTHD_TOKEN=daemon.TOKEN)
        try:
            await asyncio.to_thread(carry_out, shell, drill)
        finally:
            await asyncio.to_thread(shell.close)
        assert stage.live() == "blue"
