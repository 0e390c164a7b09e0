"""`healthd-deploy haproxy blue-green` under load, with a real HAProxy, real versions and a real daemon."""

import asyncio
import json
import re
import signal
from collections import Counter
from pathlib import Path

from tests.acceptance.deploy.haproxy_stage import staged
from tests.acceptance.deploy.test_nginx import ended
from tests.servers.command import started
from tests.servers.requests import Load
from tests.servers.waiting import until


async def test_good_is_promoted_and_bad_is_put_back(tmp_path: Path) -> None:
    """Under load: nothing fails but what the bad version failed, and both balancers have the good one again."""
    async with staged(tmp_path, {"2.0": 0.1}, balancers=2) as stage, Load(stage.url).running() as load:
        good = await stage.deploy("1.1")
        assert good.code == 0, good.err
        assert stage.weights() == [("0", "100")] * 2
        assert [each for each in load.seen if each[1] != 200] == []
        load.seen.clear()
        bad = await stage.deploy("2.0", "--json")
        settled = len(load.seen)
        await until(lambda: len(load.seen) > settled + 100, "more requests")
        assert stage.weights() == [("0", "100")] * 2
    assert bad.code == 1, bad.err
    assert set(load.seen[settled + 10 :]) == {("1.1", 200)}
    failed = sum(status != 200 for _, status in load.seen)
    assert failed == Counter(load.seen)["2.0", 500] > 0
    assert stage.versions() == {"blue": "2.0", "green": "1.1"}
    assert 0 < bad.json()["failed_requests"] <= failed


async def test_the_tool_is_killed_and_run_again(tmp_path: Path) -> None:
    """Killed in the middle of the gate, and run again with the same key: it joins the gate and ends as it would."""
    async with staged(tmp_path) as stage, Load(stage.url).running() as load:
        first = await stage.start("1.1", "--key", "run-7")
        await until(lambda: ("1.1", 200) in load.seen, "the switch")
        first.kill()
        await first.communicate()
        second = await stage.deploy("1.1", "--key", "run-7")
        assert second.code == 0, second.err
        assert stage.weights() == [("0", "100")]
        assert stage.fleet.released[-1] == ("green", "1.1")
        assert len(await stage.gates()) == 1
        assert [each for each in load.seen if each[1] != 200] == []


async def test_an_interrupted_deploy_is_undone(tmp_path: Path) -> None:
    """SIGTERM in the middle of the gate: the traffic is put back, and the next deploy is let in."""
    async with staged(tmp_path) as stage, Load(stage.url).running() as load:
        deploy = await stage.start("1.1")
        await until(lambda: ("1.1", 200) in load.seen, "the switch")
        deploy.send_signal(signal.SIGTERM)
        outcome = await ended(deploy)
        assert outcome.code == 130, outcome.err
        assert stage.weights() == [("100", "0")]
        assert [each for each in load.seen if each[1] != 200] == []


async def test_one_of_two_haproxies_stops_in_the_middle(tmp_path: Path) -> None:
    """A bad version is taken back where HAProxy lives; the one that cannot be told is not passed over in silence."""
    async with staged(tmp_path, {"2.0": 0.5}, balancers=2) as stage, Load(stage.url).running() as load:
        deploy = await stage.start("2.0")
        await until(lambda: ("2.0", 200) in load.seen, "the switch")
        await asyncio.to_thread(stage.balancers[1].process.kill)
        outcome = await ended(deploy)
        assert outcome.code == 4, outcome.err
        assert "NOT EVERYTHING COULD BE UNDONE" in outcome.err
        assert str(stage.balancers[1].stats) in outcome.err
        assert stage.balancers[0].server("web", "g1")["weight"] == "0"


async def test_a_haproxy_that_is_stopped_or_a_live_target_that_is_mistyped(tmp_path: Path) -> None:
    """Found before anything is released, also by a dry run."""
    async with staged(tmp_path) as stage:
        released = list(stage.fleet.released)
        settings = json.loads((tmp_path / "deploy.json").read_text())
        await stage.fleet.end("blue")
        await until(lambda: stage.balancers[0].server("web", "b1")["status"] == "DOWN", "the check fails")
        for words in (["1.1", "--dry-run"], ["1.1"]):
            outcome = await stage.deploy(*words)
            assert outcome.code == 3, outcome.err
            assert "there would be no way back to blue" in outcome.out
            assert "none of b1 is up" in outcome.out
        settings["traffic"]["servers"]["blue"] = ["b7"]
        (tmp_path / "deploy.json").write_text(json.dumps(settings))
        outcome = await stage.deploy("1.1", "--dry-run")
        assert outcome.code == 3, outcome.out
        assert "deploy.json:1: traffic.servers.blue.0: " in outcome.out
        assert "web has no server b7; there are: b1, g1" in outcome.out
        settings["traffic"] |= {"servers": {"blue": ["b1"], "green": ["g1"]}, "sockets": [f"{tmp_path}/adnim.sock"]}
        (tmp_path / "deploy.json").write_text(json.dumps(settings))
        for words in (["1.1", "--dry-run"], ["1.1"]):
            outcome = await stage.deploy(*words)
            assert outcome.code == 3, outcome.out
            assert "deploy.json:1: traffic.sockets.0: " in outcome.out
        settings["traffic"]["sockets"] = [str(stage.balancers[0].stats)]
        (tmp_path / "deploy.json").write_text(json.dumps(settings))
        await asyncio.to_thread(stage.balancers[0].process.kill)
        outcome = await stage.deploy("1.1", "--dry-run")
        assert (outcome.code, str(stage.balancers[0].stats) in outcome.out) == (1, True), outcome.out
        assert stage.fleet.released == released
        assert await stage.gates() == []


async def test_weights_that_are_gone_while_a_gate_judges_are_said_at_once(tmp_path: Path) -> None:
    """As after a reload without the state: with the command that gives the traffic back, long before the verdict."""
    async with staged(tmp_path) as stage:
        process = await stage.start("1.1")
        await until(lambda: stage.weights() == [("0", "100")], "the switch")
        assert process.stderr is not None
        said = [await process.stderr.readline()]
        while b"gate post-switch" not in said[-1]:
            said.append(await process.stderr.readline())
        for server, weight in (("b1", 100), ("g1", 0)):
            stage.balancers[0].command(f"set server web/{server} weight {weight}")
        while b"gives green 0 % of the traffic: was it reloaded" not in said[-1]:
            assert said[-1], said
            said.append(await process.stderr.readline())
        assert b"`healthd-deploy haproxy switch green` gives all of it back" in said[-1]
        process.send_signal(signal.SIGTERM)
        outcome = await ended(process)
        assert outcome.code == 130
        assert stage.weights() == [("100", "0")]


async def test_a_haproxy_that_was_reloaded_while_its_gate_judged_is_no_promotion(tmp_path: Path) -> None:
    """The other one brought the requests by which it passed: nothing is undone, the end is 4, and the command of the
    last line gives the version what it has passed for."""
    async with staged(tmp_path, balancers=2) as stage, Load(stage.url).running() as load:
        process = await stage.start("1.1", "--json")
        await until(lambda: stage.weights() == [("0", "100")] * 2, "the switch")
        await asyncio.to_thread(stage.balancers[1].reload)
        outcome = await ended(process)
        assert outcome.code == 4, outcome.err
        lost = f"HAProxy at {stage.balancers[1].stats} gives green 0 % of the traffic: was it reloaded"
        report = outcome.json()
        assert (report["ending"], report["reason"].startswith(f"its gate passed, but {lost}")) == ("not undone", True)
        assert stage.weights() == [("0", "100"), ("100", "0")]
        words = re.search(r"`(healthd-deploy haproxy switch green)`", report["reason"])
        assert words is not None
        restored = await ended(await started(*words[1].split(), "--config", str(tmp_path / "deploy.json")))
        assert restored.code == 0, restored.err
        assert stage.weights() == [("0", "100")] * 2
        assert [each for each in load.seen if each[1] != 200] == []


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what it would do, and does none of it."""
    async with staged(tmp_path) as stage:
        before, released = stage.weights(), list(stage.fleet.released)
        outcome = await stage.deploy("1.1", "--dry-run")
        assert outcome.code == 0, outcome.err
        said = [line.partition("○ would ")[2].partition(": ")[0] for line in outcome.err.splitlines() if "○" in line]
        assert said == [
            "take the deploy lock of api",
            "release 1.1 to green",
            "ask the gate post-switch about 1.1",
            "switch the traffic from blue to green",
        ]
        assert (stage.weights(), stage.fleet.released) == (before, released)
        assert await stage.gates() == []
