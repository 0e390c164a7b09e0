"""`healthd-deploy aws blue-green --strategy ramp`: requests that follow the weights of the target groups, real commands
on instances, and a real daemon that moves the traffic. Configuration and commands are those of the page."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from healthd_gates.client.client import GateClient
from tests.acceptance.guide import blocks_of
from tests.integration.deploy.aws.stage import POLICY, ROOT, SOURCE, Stage, judged, staged
from tests.servers import daemon, moto
from tests.servers.aws_command import carry_out
from tests.servers.waiting import until

PAIR = {"blue": ["1.0", "1.0"], "green": ["0.9", "0.9"]}
RAMP = {"service": "api", "strategy": "ramp", "gates": {"before": [], "after": "quick", "ramp": "gradual"}}
BUDGET = 60
_QUICK = {"observe": {"min": "3s", "max": "60s"}, "initial_delay": "1s", "blip": "2s"}
_ARN = re.compile(r"arn:aws:elasticloadbalancing:[^:]+:[0-9]+:(listener|targetgroup)/(?:app/)?(\w+)/[\w/]+")


def documented(kind: str, stage: Stage) -> list[str]:
    """The blocks of the page's section on ramps, with the listener and the groups that there are."""
    section = (ROOT / "docs/deploy/aws.md").read_text().partition("## Widening a release by evidence")[2]
    section = section.partition("\n## ")[0]

    def here(found: re.Match[str]) -> str:
        return stage.traffic.listener if found[1] == "listener" else stage.groups[found[2]]

    return [_ARN.sub(here, text) for language, text in blocks_of(section) if language == kind]


def ramping_by(stage: Stage, budget: float) -> dict[str, Any]:
    """The page's configuration, with numbers from the versions themselves, quicker, and with the way to AWS."""
    (text,) = documented("yaml", stage)
    shown = YAML(typ="safe").load(text)
    shown["services"]["api"] |= {"targets": stage.targets(), "source": SOURCE}
    shown["policies"]["gradual"] = POLICY | _QUICK | shown["policies"]["gradual"]
    shown["policies"]["gradual"]["ramp"] = {"budget": budget, "timeout": "3m"}
    shown["policies"]["quick"] = POLICY
    shown["actions"]["shift-alb"]["endpoint"] = stage.front.url
    return {"journal": f"sqlite:///{stage.folder}/journal.db", "checks": {}, **shown}


@asynccontextmanager
async def ramping(aws: moto.Moto, folder: Path, budget: float = BUDGET) -> AsyncIterator[Stage]:
    """Under load, with the live version noted as the page says."""
    async with staged(aws, folder, **PAIR) as stage:
        (noted, _) = documented("sh", stage)
        await carry_out(noted.replace("1.4.0", "1.0"), stage.elbv2)
        async with judged(stage, loaded=True, settings=ramping_by(stage, budget)):
            yield stage


def share(stage: Stage, group: str) -> float:
    weights = stage.traffic.weights
    return weights.get(stage.groups[group], 0) / sum(weights.values())


async def test_good_gets_everything_and_bad_is_back_at_nothing(aws: moto.Moto, tmp_path: Path) -> None:
    """No request of the good one fails; of the bad one about the budget, counted by those who were harmed."""
    async with ramping(aws, tmp_path) as stage:
        good = await stage.deploy("blue-green", "1.1", **RAMP)
        assert good.code == 0, good.err
        assert "let healthd move the traffic from blue to green" in good.err
        assert share(stage, "green") == 1
        assert {status for _, status in stage.load.seen} == {200}
        stage.load.seen.clear()
        bad = await stage.deploy("blue-green", "2.0", "--json", **RAMP)
        assert bad.code == 1, bad.err
        assert share(stage, "blue") == 0
        failed = sum(status != 200 for _, status in stage.load.seen)
        assert failed == sum(count for (version, status), count in Counter(stage.load.seen).items()
                             if version == "2.0" and status != 200)  # fmt: skip
        assert 0 < failed <= 1.5 * BUDGET
        assert 0 < bad.json()["weight"] <= 1


async def test_a_deploy_that_is_interrupted_takes_the_traffic_back(aws: moto.Moto, tmp_path: Path) -> None:
    """SIGTERM in the middle of the ramp: no try of an action comes after the way back."""
    async with ramping(aws, tmp_path) as stage:
        tool = await stage.start("blue-green", "1.1", **RAMP)
        await until(lambda: share(stage, "green") > 0, "the first weight")
        tool.send_signal(signal.SIGTERM)
        _, err = await tool.communicate()
        assert tool.returncode == 130, err.decode()
        settled = len(stage.load.seen)
        await until(lambda: len(stage.load.seen) > settled + 200, "more requests")
        assert set(stage.load.seen[settled + 10 :]) == {("1.0", 200)}
        assert share(stage, "green") == 0


async def test_a_killed_tool_is_joined_and_a_second_deploy_finds_who_was_there_before(
    aws: moto.Moto, tmp_path: Path
) -> None:
    """Also where both have the same weight. A person who cancels keeps it: exit code 4; and nothing else is released to
    the group that has a part, until a person decides by the page's command."""
    async with ramping(aws, tmp_path, budget=5000) as stage:
        assert stage.daemon is not None
        first = await stage.start("blue-green", "1.1", "--key", "run-7", **RAMP)
        await until(lambda: share(stage, "green") > 0, "the first weight")
        first.kill()
        await first.communicate()
        async with GateClient(stage.daemon.url, daemon.TOKEN) as client:
            gates = (await client.gates(service="api")).gates
            await client.pause(gates[0].id, "a talk on stage")
            second = await stage.start("blue-green", "1.1", "--key", "run-7", **RAMP)
            assert second.stderr is not None
            said = ""
            while "let healthd move" not in said:
                line = (await asyncio.wait_for(second.stderr.readline(), 60)).decode()
                assert line, said
                said += line
            assert "which target has the traffic: blue" in said
            await client.cancel(gates[0].id, "the new schema does not bear the old version")
            out, err = await second.communicate()
        assert second.returncode == 4, err.decode()
        assert b"was cancelled, and ordered" in out
        assert share(stage, "green") == 0.5
        another = await stage.deploy("blue-green", "1.2", **RAMP)
        assert (another.code, "forwards 50% to blue, 50% to green" in another.out) == (1, True), another
        assert stage.versions("green") == ["1.1", "1.1"]
        (_, decides) = documented("sh", stage)
        await carry_out(decides, stage.elbv2)
        await stage.traffic.read()
        assert share(stage, "blue") == 1
        looked = await stage.deploy("blue-green", "1.2", "--dry-run", **RAMP)
        assert (looked.code, "which target has the traffic: blue" in looked.err) == (0, True), looked
