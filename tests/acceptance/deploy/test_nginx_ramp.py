"""A release behind a real NGINX that healthd widens under load: the actions are those of the page."""

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from healthd_gates.client.client import GateClient
from healthd_gates.schema.gate import GateDocument
from tests.acceptance.deploy.fleet import Fleet
from tests.acceptance.deploy.test_nginx import Stage, documented, ended, staged
from tests.servers import daemon
from tests.servers.command import started
from tests.servers.daemon import Daemon
from tests.servers.requests import Load
from tests.servers.waiting import until

BUDGET = 60
Seen = Callable[[GateDocument], Awaitable[None]]
POLICY = {
    "initial_delay": "1s",
    "interval": "1s",
    "blip": "2s",
    "observe": {"min": "3s", "max": "60s"},
    "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}],
    "confirm_timeout": "30s",
    "watch": "0s",
}


class Staged(Protocol):
    """A balancer's stage, as far as a rollout needs it."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def daemon(self) -> Daemon: ...


def ramps(folder: Path, settings: dict[str, Any], budget: float = BUDGET) -> None:
    settings["policies"]["gradual"] = POLICY | {"ramp": {"budget": budget, "timeout": "3m"}}
    settings["policies"]["stepwise"] = POLICY | {"ramp": {"budget": budget, "steps": ["1%", "50%"]}}
    settings["services"]["api"] |= {"policy": "gradual", "on_ramp": ["shift"], "on_fail": []}
    settings["actions"] |= documented(folder, "--weight")


async def rolled_out(stage: Staged, version: str, seen: Seen | None = None) -> GateDocument:
    """The gate of a version on green, at its end; each of its documents is `seen`."""
    await stage.fleet.release("green", version)
    return await judged(stage.daemon, version, seen)


async def judged(judging: Daemon, version: str, seen: Seen | None = None) -> GateDocument:
    """The gate of a version that stands on green, at its end."""
    asked = {
        "service": "api",
        "candidate": {"version": version, "target": "green"},
        "baseline": {"version": "1.0", "target": "blue"},
    }
    async with GateClient(judging.url, daemon.TOKEN) as client:
        gate = await client.verify(asked)
        async for shown in client.follow(gate.id, to_the_end=True):
            gate = shown
            if seen is not None:
                await seen(shown)
    return gate


async def test_a_good_release_gets_everything_without_a_failed_request(tmp_path: Path) -> None:
    """More and more of it, all of it in the end, and nothing lost at any reload."""
    async with staged(tmp_path, change=lambda settings: ramps(tmp_path, settings)) as stage:
        load = Load(stage.balancer.url)
        async with load.running():
            gate = await rolled_out(stage, "1.1")
            assert gate.verdict == "pass", gate
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 50, "more requests")
        assert [each for each in load.seen if each[1] != 200] == []
        assert set(load.seen[settled + 10 :]) == {("1.1", 200)}
        assert stage.live() == "green"
        assert gate.ramp is not None
        assert gate.ramp.step >= 2
        assert gate.ramp.weight == 1.0
        await _is_replayed(stage, gate)


async def _is_replayed(stage: Stage, gate: GateDocument) -> None:
    """From what the daemon keeps of it: with its reasons as a table, and as it would have been with fixed steps."""
    env = {"HEALTHD_URL": stage.daemon.url, "HEALTHD_TOKEN": daemon.TOKEN, "COLUMNS": "160"}
    words = ("healthd", "gate", "replay", "-c", str(stage.daemon.file))
    told = await ended(await started(*words, "--last", "api", env=env))
    assert told.code == 0, told.out
    assert told.out.startswith(f"gate {gate.id} of api 1.1, under gradual\n")
    assert "Widened: even if 100 % of its requests were bad" in told.out
    assert "It would have had " in told.out
    async with GateClient(stage.daemon.url, daemon.TOKEN) as client:
        ordered = [each.weight for each in (await client.actions(gate.id)).actions if each.occasion == "ramp"]
    same = (await ended(await started(*words, "--last", "api", "--json", env=env))).json()
    assert [step["weight"] for step in same["steps"]] == ordered
    assert gate.standing is not None
    assert (same["verdict"], same["seconds"]) == ("pass", gate.standing.elapsed_seconds)
    other = await ended(await started(*words, "--gate", gate.id[:16], "--policy", "stepwise", "--json", env=env))
    assert [step["weight"] for step in other.json()["steps"]][:1] == [0.01], other
    assert other.json()["steps"][0]["why"].startswith("even if")
    refused = await ended(await started(*words, "api", "--last", "api", env=env))
    assert (refused.code, "which knows its service" in refused.err) == (3, True), refused


@pytest.mark.parametrize("failing", [1.0, 0.1])
async def test_a_bad_release_is_back_at_nothing_at_about_the_budget(tmp_path: Path, failing: float) -> None:
    """Counted by those who were harmed."""
    async with staged(tmp_path, {"2.0": failing}, change=lambda settings: ramps(tmp_path, settings)) as stage:
        load = Load(stage.balancer.url)
        async with load.running():
            gate = await rolled_out(stage, "2.0")
            settled = len(load.seen)
            await until(lambda: len(load.seen) > settled + 50, "more requests")
        assert gate.verdict == "fail", gate
        assert gate.rollback is not None
        assert gate.rollback.state == "rolled_back", gate.rollback
        assert set(load.seen[settled + 10 :]) == {("1.0", 200)}
        failed = Counter(load.seen)["2.0", 500]
        assert sum(status != 200 for _, status in load.seen) == failed
        # A busy machine starts the first action later than was assumed of it.
        assert 0 < failed <= 1.5 * BUDGET
