"""What healthd would refuse is refused before anything is released; what was decided is repeated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_deploy.nginx.settings import NginxConfig
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import DryRunDocument, GateDocument
from healthd_gates.schema.lock import QuarantinedDocument
from tests.fakes.gate_states import RUNNING
from tests.unit.deploy.core.test_live_again import Daemon, TwoTargets, decided, of
from tests.unit.deploy.core.test_put_back import DONE, Targets

OTHERS = replace(RUNNING, id="busy", candidate=Version(version="1.9"), deployment=Deployment(id="run-0"))


class Refusing(Daemon):
    """Gates of some policies are refused, here in a dry run and in earnest; a busy service names the gate."""

    def __init__(self, kind: str, policy: str, *gates: Gate) -> None:
        super().__init__(Verdict.PASS, *gates)
        self._kind, self._policy = kind, policy

    def _refuse(self, request: Mapping[str, Any]) -> None:
        if request["policy"] == self._policy:
            problem = {"type": f"urn:healthd:{self._kind}", "detail": f"{self._kind}: no", "gate_id": "busy"}
            raise Refused(409, problem)

    async def could_start(self, request: Mapping[str, Any]) -> DryRunDocument:
        self._refuse(request)
        return await super().could_start(request)

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        if all(gate.deployment.id != "run-1" for gate in self._gates):
            self._refuse(request)
        return await super().verify(request, key=key)


async def run(daemon: Daemon, platform: TwoTargets, *, no_rollback: bool = False) -> tuple[int, GateSession]:
    gates = {"before": [], "idle": ["smoke"]}
    config = DeployConfig.model_validate({"service": "shop", "gates": gates, "rollback_patience": "0s"})
    steps = Steps(quiet=True)
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps, no_rollback=no_rollback)
    session.report.version = "2.0"
    deploy = BlueGreen(platform, session, steps, config.gates, None)
    return await carried_out(lambda: deploy.deploy("2.0"), session, steps), session


@pytest.mark.parametrize("policy", ["smoke", "post-switch"])
@pytest.mark.parametrize("kind", ["service-busy", "locked", "frozen", "quarantined", "unknown-policy", "draining"])
async def test_nothing_is_released_that_could_not_be_judged(kind: str, policy: str) -> None:
    """Such as while the rollback of another version is due: on the idle target stays what was there."""
    platform = Targets("0.9")
    code, session = await run(Refusing(kind, policy, OTHERS), platform)
    assert (code, platform.changed) == (3, [])
    assert f"{kind}: no" in session.report.reason


class Elsewhere(Daemon):
    """Its service has other addresses, perhaps of the same place."""

    async def could_start(self, request: Mapping[str, Any]) -> DryRunDocument:
        self.asked.append(request)
        found = await super().could_start(request)
        return found.model_copy(update={"elsewhere": ("the deploy has blue at 10.9.0.1:80",)})


@pytest.mark.parametrize("dry_run", [False, True])
async def test_gates_are_asked_with_the_addresses_of_the_targets(
    capfd: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    """The file of another environment may name this one's service: what healthd says of them is told, once."""
    targets = {"blue": ["10.9.0.1:80"], "green": ["10.9.0.2:80"]}
    upstream = {"file": "/tmp/api.conf", "name": "api", "targets": targets}
    config = NginxConfig.model_validate(
        {"service": "shop", "upstream": upstream, "release": {"argv": ["true"]}, "rollback_patience": "0s"}
    )
    daemon, steps = Elsewhere(Verdict.PASS), Steps(dry_run=dry_run)
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(Targets("0.9"), session, steps, config.gates, None)
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == 0
    assert [asked["addresses"] for asked in daemon.asked] == [targets] * len(daemon.asked)
    printed = "".join(capfd.readouterr())
    assert printed.count("✗ the deploy has blue at 10.9.0.1:80") == (not dry_run)


async def test_a_gate_of_this_deploy_refuses_nothing() -> None:
    """The tool was killed between the start of its gate and the switch."""
    own = replace(of(RUNNING, "run-1"), id="busy", policy="smoke")
    platform = Targets("0.9")
    code, _ = await run(Refusing("service-busy", "smoke", own), platform)
    assert (code, platform.changed) == (0, DONE)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
async def test_a_run_that_left_its_version_in_place_says_so_again(verdict: Verdict) -> None:
    """A pipeline that runs it again gets the same 4: its failed version is in quarantine by then."""
    failed = replace(of(decided(verdict), "run-1"), state=GateState.FINISHED)
    daemon, platform = Daemon(verdict, failed), TwoTargets()
    since = failed.created_at
    daemon.kept = [QuarantinedDocument(service="shop", version="2.0", gate="g1", since=since, reason="Above 5 %.")]
    code, session = await run(daemon, platform, no_rollback=True)
    assert (code, platform.changed) == (4, ["switch to green"])
    assert f"{verdict.value}: " in session.report.reason
    assert "2.0 keeps the traffic (--no-rollback)" in session.report.reason
    with_another_key = replace(failed, deployment=Deployment(id="run-0"))
    daemon = Daemon(verdict, with_another_key)
    daemon.kept = [QuarantinedDocument(service="shop", version="2.0", gate="g1", since=since, reason="Above 5 %.")]
    assert (await run(daemon, TwoTargets(), no_rollback=True))[0] == 3


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.FAIL, 4), (Verdict.INCONCLUSIVE, 4), (Verdict.PASS, None)])
async def test_what_was_left_on_a_host_or_on_instances_is_told_again(verdict: Verdict, code: int | None) -> None:
    """There the version has settled, as far as later deploys are concerned."""
    config = DeployConfig.model_validate({"service": "shop", "rollback_patience": "0s"})
    daemon = Daemon(verdict, of(decided(verdict), "run-1"))
    session = GateSession(cast("GateClient", daemon), config, "run-1", Steps(quiet=True), no_rollback=True)

    async def deploy() -> None:
        await session.left_before(("post-switch",), {"version": "2.0", "target": "green"})

    ended = await carried_out(deploy, session, Steps(quiet=True))
    assert ended == (code or 0)
    assert ("2.0 keeps the traffic" in session.report.reason) == (code == 4)
    stranger = GateSession(cast("GateClient", daemon), config, "run-9", Steps(quiet=True), no_rollback=True)
    await stranger.left_before(("post-switch",), {"version": "2.0", "target": "green"})
