"""Deploy tools that own the weight, under a policy with a harm budget: each is told the allowed weight."""

import asyncio
from collections.abc import Mapping
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd_gates.config.settings import Config
from healthd_gates.domain.evidence import Counts
from tests.fakes.deploytools import argo_rollouts
from tests.fakes.deploytools.argo_rollouts import AnalysisRun
from tests.fakes.deploytools.flagger import Flagger
from tests.fakes.gates import Note, Script, replica
from tests.unit.gates.hooks.asking import ArgoCalls, FlaggerCalls, quick

FILES = Path(__file__).parents[4] / "deploy" / "hooks"
INTERVAL = 30.0
TRAFFIC = 100.0  # requests a second
BASELINE = {"version": "primary", "labels": {"pod": "api-primary"}}


def hooks(budget: float | None, **canary: Any) -> Config:
    deploys = {"service": "api", "baseline": BASELINE}
    policy: dict[str, Any] = {
        "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}],
        "observe": {"min": "1h", "max": "2h"},
        "allowance": None if budget is None else {"budget": budget, "way_back": "30s"},
    }
    named = {
        "flagger": {"kind": "flagger", "canaries": {"shop/api": {**deploys, **canary}}},
        "argo": {"kind": "argo_rollouts", "rollouts": {"shop/api": deploys}},
    }
    return quick(policy=policy, hooks=named)


class Canarying(Flagger):
    """The controller with its shipped canary, and a router that does what it says."""

    def __init__(self, calls: FlaggerCalls, interval: float = INTERVAL) -> None:
        canary = YAML(typ="safe").load((FILES / "flagger-canary.yaml").read_text())
        super().__init__(canary, "aaa", phase="Progressing")
        self._calls, self._interval = calls, interval
        self.allowed = 0.0
        self.said: list[str] = []
        self.weights: list[int] = []

    async def _call(self, hook: Mapping[str, Any], phase: str, checksum: str) -> bool:
        said = await self._calls(hook["type"], checksum, phase)
        if hook["type"] == "confirm-traffic-increase":
            self.said.append(said.body["sentence"])
            self.allowed = said.body["allowed_weight"] or 0.0
        return said.status <= 202

    async def tick(self, times: int) -> None:
        for _ in range(times):
            await self.advance()
            self.weights.append(self.weight)
            await asyncio.sleep(self._interval)


def routed(flagger: Flagger, *, every: int = 1) -> None:
    looks = count()
    sums = [0.0, 0.0]

    def counts(_seconds: float) -> tuple[Counts | None, Counts | None]:
        n = TRAFFIC * 5 * flagger.weight / 100
        sums[0] += n
        sums[1] += TRAFFIC * 5 - n
        if next(looks) % every:
            return None, None
        said, sums[:] = tuple(sums), [0.0, 0.0]
        return (Counts(said[0], 0.0) if said[0] else None, Counts(said[1], 0.0))

    Script.act = counts


@pytest.mark.parametrize("every", [1, 3], ids=["numbers at each look", "every 15 s"])
async def test_flagger_takes_each_step_once_it_is_allowed(file: Path, every: int) -> None:
    """Its first is not wider than the budget bears whatever the version does, and it reaches its last; also at its
    shortest usual interval, and where not every look has numbers."""
    async with replica(file, hooks(1200, step_weight="10%")) as running:
        flagger = Canarying(FlaggerCalls(running), interval=10.0 * every)
        routed(flagger, every=every)
        allowed = []
        while flagger.weight < 50:
            before = flagger.weight
            await flagger.tick(1)
            [gate] = (await running.keeper.list(service="api")).gates
            if flagger.weight > before and gate.allowance is not None:
                allowed.append(flagger.allowed)
            assert flagger.weight <= 100 * flagger.allowed or flagger.weight == before
        assert len(allowed) == 5
        assert 0.1 <= allowed[0] < 0.3
    assert flagger.weights[-1] == 50
    assert all(high - low <= 10 for low, high in pairwise(flagger.weights))
    assert Note.tried == []


@pytest.mark.parametrize(("budget", "reaches"), [(200.0, 0), (None, 50)])
async def test_flagger_takes_no_step_that_the_budget_does_not_bear(
    file: Path, budget: float | None, reaches: int
) -> None:
    """A tenth of the traffic is more than 200 failures until it is back; without an allowance nobody asks for that."""
    async with replica(file, hooks(budget, step_weight="10%")) as running:
        flagger = Canarying(FlaggerCalls(running))
        routed(flagger)
        await flagger.tick(8)
    assert flagger.weight == reaches
    assert flagger.failed_checks == 0
    assert ("The evidence allows it" in flagger.said[-1]) is (budget is not None)


async def test_flagger_waits_while_it_has_more_than_is_allowed(file: Path) -> None:
    """Its step is not known: the first one comes, and is told to be too wide; then it waits for the evidence."""
    async with replica(file, hooks(6)) as running:
        flagger = Canarying(FlaggerCalls(running))
        routed(flagger)
        await flagger.tick(3)
        assert flagger.weights == [0, 10, 10]
        assert "which is wider than its harm budget bears" in flagger.said[-1]
        await flagger.tick(6)
        assert flagger.weight > 10


async def test_argo_goes_on_once_its_next_weight_is_allowed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An analysis before `setWeight: 25`, beside one in the background that goes on to ask for the verdict."""
    template = YAML(typ="safe").load((FILES / "argo-analysis-template.yaml").read_text())
    step = YAML(typ="safe").load((FILES / "argo-analysis-template.yaml").read_text())
    [metric] = step["spec"]["metrics"]
    metric["successCondition"] += " || (result.allowed_weight ?? 0) >= 0.25"
    assert f"`successCondition: {metric['successCondition']}`" in (FILES.parents[1] / "docs" / "hooks.md").read_text()
    arguments = {"rollout": "shop/api", "revision": "7", "version": "aaa", "token": "none"}
    weight = 0.02

    def counts(_seconds: float) -> tuple[Counts, Counts]:
        return Counts(TRAFFIC * 5 * weight, 0.0), Counts(TRAFFIC * 5 * (1 - weight), 0.0)

    Script.act = counts
    async with replica(file, hooks(200)) as running:
        argo = ArgoCalls(running)

        async def ask(web: Mapping[str, Any]) -> Any:
            body = web["jsonBody"]
            return (await argo(body["version"], body["revision"], body["run"])).body

        monkeypatch.setattr(argo_rollouts, "_ask", ask)
        background = AnalysisRun(template, {**arguments, "run": "1001"})
        until_allowed = AnalysisRun(step, {**arguments, "run": "1002"})
        for _ in range(200):
            await background.measure()
            await until_allowed.measure()
            if until_allowed.phase != "Running":
                break
            await asyncio.sleep(2)
        assert (until_allowed.phase, background.phase) == ("Successful", "Running")
        assert until_allowed.count > 10
        [gate] = (await running.keeper.list(service="api")).gates
        assert gate.decision is None
