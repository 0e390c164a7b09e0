"""`healthd-deploy nginx blue-green --strategy ramp` under load: the gate moves the traffic, the tool follows it."""

import asyncio
import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from healthd_gates.client.client import GateClient
from tests.acceptance.deploy.test_nginx import Stage, ended, staged
from tests.acceptance.deploy.test_nginx_ramp import BUDGET, ramps
from tests.servers import daemon
from tests.servers.requests import Load
from tests.servers.waiting import until


def _with_ramp(stage: Stage, **more: Any) -> None:
    file = stage.folder / "deploy.json"
    settings = json.loads(file.read_text())
    settings["gates"]["ramp"] = "gradual"
    file.write_text(json.dumps(settings | more))


async def test_good_gets_everything_and_bad_is_back_at_nothing(tmp_path: Path) -> None:
    """Counted by those who were harmed: no request of the good one fails, and of the bad one about the budget."""
    async with staged(tmp_path, {"2.0": 0.1}, change=lambda settings: ramps(tmp_path, settings)) as stage:
        _with_ramp(stage)
        async with Load(stage.balancer.url).running() as load:
            dry = await stage.deploy("blue-green", "1.1", "--strategy", "ramp", "--dry-run")
            takes = "all of the traffic within [0-9hms]+, a verdict within [0-9hms]+, "
            assert re.search(f"would ask the gate gradual about 1.1: {takes}shown on {stage.daemon.url}/\n", dry.err)
            good = await stage.deploy("blue-green", "1.1", "--strategy", "ramp")
            assert good.code == 0, good.err
            assert re.search(f" of api 1.1: {takes}{stage.daemon.url}/gates/[0-9a-f]+/page\n", good.err), good.err
            assert "let healthd move the traffic from blue to green" in good.err
            assert stage.live() == "green"
            assert [each for each in load.seen if each[1] != 200] == []
            load.seen.clear()
            bad = await stage.deploy("blue-green", "2.0", "--strategy", "ramp", "--json")
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 50, "more requests")
    assert bad.code == 1, bad.err
    assert '"live": "green"' in stage.upstream
    assert '"other"' not in stage.upstream
    assert set(load.seen[settled:]) == {("1.1", 200)}
    failed = Counter(load.seen)["2.0", 500]
    assert sum(status != 200 for _, status in load.seen) == failed
    assert 0 < failed <= 1.5 * BUDGET
    assert 0 < bad.json()["weight"] <= 1


async def test_a_deploy_that_is_interrupted_takes_the_traffic_back(tmp_path: Path) -> None:
    """SIGTERM in the middle of the ramp: no try of an action comes after the way back."""
    async with staged(tmp_path, change=lambda settings: ramps(tmp_path, settings)) as stage:
        _with_ramp(stage, strategy="ramp")
        async with Load(stage.balancer.url).running() as load:
            deploy = await stage.start("blue-green", "1.1")
            await until(lambda: ("1.1", 200) in load.seen, "the first weight")
            deploy.send_signal(signal.SIGTERM)
            outcome = await ended(deploy)
            assert outcome.code == 130, outcome.err
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 200, "more requests")
        assert set(load.seen[settled + 10 :]) == {("1.0", 200)}
        assert (stage.live(), '"other"' in stage.upstream) == ("blue", False)


async def test_a_killed_tool_is_joined_and_a_cancelled_ramp_stays_where_it_is(tmp_path: Path) -> None:
    """Run again with its key it follows the same gate. A person who cancels keeps the weight: exit code 4."""
    async with staged(tmp_path, change=lambda settings: ramps(tmp_path, settings, budget=5)) as stage:
        _with_ramp(stage, strategy="ramp")
        async with Load(stage.balancer.url).running() as load, GateClient(stage.daemon.url, daemon.TOKEN) as client:
            first = await stage.start("blue-green", "1.1", "--key", "run-7")
            await until(lambda: ("1.1", 200) in load.seen, "the first weight")
            first.kill()
            await first.communicate()
            second = await stage.start("blue-green", "1.1", "--key", "run-7")
            assert second.stderr is not None
            said = ""
            while "let healthd move" not in said:
                line = (await asyncio.wait_for(second.stderr.readline(), 60)).decode()
                assert line, said
                said += line
            (gate,) = [gate for gate in await stage.gates() if gate["policy"] == "gradual"]
            await client.cancel(gate["id"], "the new schema does not bear the old version")
            outcome = await ended(second)
        assert outcome.code == 4, outcome.err
        assert "was cancelled, and ordered" in outcome.out
        assert '"other"' in stage.upstream


async def test_who_moves_the_traffic_is_settled_before_anything_is_released(tmp_path: Path) -> None:
    """A policy without a ramp, one with a ramp for a switch, and no policy for it: refused, each with its cure."""
    async with staged(tmp_path, change=lambda settings: ramps(tmp_path, settings)) as stage:
        released = list(stage.fleet.released)
        unnamed = await stage.deploy("blue-green", "1.1", "--strategy", "ramp")
        assert (unnamed.code, "gates.ramp is missing" in unnamed.out) == (3, True), unnamed
        for gates, words, cure in (
            ({"ramp": "post-switch"}, ["--strategy", "ramp"], "deploy with --strategy switch"),
            ({"after": "gradual"}, ["--dry-run"], "deploy with --strategy ramp"),
        ):
            settings = json.loads((tmp_path / "deploy.json").read_text())
            settings["gates"] = {"before": [], **gates}
            (tmp_path / "deploy.json").write_text(json.dumps(settings))
            refused = await stage.deploy("blue-green", "1.1", *words)
            assert (refused.code, cure in refused.out) == (3, True), refused
        assert stage.fleet.released == released
