"""What a failed deploy leaves on the idle target, where the platform cannot put it back by itself."""

from typing import cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.domain.standing import Verdict
from tests.unit.deploy.core.test_live_again import Daemon, TwoTargets

DONE = ["release 2.0 to blue", "switch to blue"]
BACK = ["switch to green", "release 0.9 to blue"]


class Targets(TwoTargets):
    """Version 1.0 has the traffic on green; on blue stands what was given."""

    def __init__(self, idle: str | None) -> None:
        super().__init__()
        self.traffic = "green"
        self._versions = {"green": "1.0", "blue": idle}

    async def live(self) -> str:
        return self.traffic

    async def version(self, target: str) -> str | None:
        return self._versions[target]

    async def release(self, target: str, version: str) -> None:
        await super().release(target, version)
        self._versions[target] = version

    async def switch(self, target: str) -> None:
        await super().switch(target)
        self.traffic = target


@pytest.mark.parametrize(
    ("verdict", "idle", "releases_back", "changed"),
    [
        (Verdict.FAIL, "0.9", True, [*DONE, *BACK]),
        (Verdict.FAIL, "0.9", False, [*DONE, "switch to green"]),
        (Verdict.FAIL, None, True, [*DONE, "switch to green"]),
        (Verdict.FAIL, "2.0", True, [*DONE, "switch to green"]),
        (Verdict.PASS, "0.9", True, DONE),
    ],
    ids=["put back", "not asked for", "nothing known", "the same version", "passed"],
)
async def test_the_idle_target_gets_its_version_again(
    verdict: Verdict, idle: str | None, releases_back: bool, changed: list[str]
) -> None:
    """After the traffic is back, and never while the target has it."""
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps, platform = Steps(quiet=True), Targets(idle)
    session = GateSession(cast("GateClient", Daemon(verdict)), config, "run-1", steps)
    deploy = BlueGreen(platform, session, steps, config.gates, None, releases_back=releases_back)
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == (0 if verdict is Verdict.PASS else 1)
    assert platform.changed == changed


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (NothingSwitched("NGINX keeps its old workers"), "2.0: failed: NGINX keeps its old workers"),
        (
            StepFailed("no pid"),
            "2.0: failed: no pid; it had the traffic for at most 0 s, from the switch until it was put back",
        ),
    ],
    ids=["nothing was switched", "nobody knows"],
)
async def test_a_switch_that_fails_is_told_as_what_it_was(failure: StepFailed, told: str) -> None:
    """A version that got no traffic had none, for however long that took to know."""

    class Failing(Targets):
        async def switch(self, target: str) -> None:
            if target == "blue":
                raise failure

    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps, daemon = Steps(quiet=True), Daemon(Verdict.PASS)
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    session.report.version = "2.0"
    deploy = BlueGreen(Failing("0.9"), session, steps, config.gates, None)
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == 1
    assert session.report.sentence(1) == told
    assert (daemon.cancelled, daemon.switches) == (["new-1"], [])
