"""A pipeline that is run again for the version that has the traffic already: nothing is switched, so nothing undone."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from healthd_deploy.core import program
from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import DryRunDocument, GateDocument, GatesDocument
from healthd_gates.schema.lock import LockDocument, QuarantinedDocument, QuarantineDocument
from tests.fakes import gate_states as gates


def decided(verdict: Verdict) -> Gate:
    """A gate with its verdict; only a pass may stay."""
    return gates.DECIDED[verdict.value, Verdict.PASS if verdict is Verdict.PASS else Verdict.FAIL]


GREEN = Version(version="2.0", target="green")
RUNNING = replace(decided(Verdict.PASS), id="running", decision=None, state=GateState.OBSERVING)


class Daemon:
    """The gate client as far as a deploy asks it: lists what is there, and gives each gate that runs the same verdict.

    As the daemon does, it lists the newest first, starts a gate for a new key, and joins the key's own for a known one,
    also long after its verdict. `end` is the gate as it is once it was followed.
    """

    def __init__(self, verdict: Verdict, *gates: Gate) -> None:
        self.end, self._gates = decided(verdict), list(gates)
        self._keys = {f"{gate.deployment.id}:{gate.policy}": gate.id for gate in gates}
        self.asked: list[Mapping[str, Any]] = []
        self.cancelled: list[str] = []
        self.switches: list[str] = []  # to be switched to
        self.kept: list[QuarantinedDocument] = []

    async def gates(
        self, *, limit: int, policy: str | None = None, deployment: str | None = None, **_query: object
    ) -> GatesDocument:
        found = [
            gate for gate in self._gates if policy in (None, gate.policy) and deployment in (None, gate.deployment.id)
        ]
        return GatesDocument(gates=list(map(GateDocument.of, found[:limit])), next=None)

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        self.asked.append({**request, "key": key})
        if key not in self._keys:
            gate = replace(RUNNING, id=f"new-{len(self.asked)}", policy=request["policy"])
            gate = replace(gate, candidate=Version(**request["candidate"]))
            gate = replace(gate, deployment=Deployment(**request["deployment"]))
            self._gates.insert(0, gate)
            self._keys[key] = gate.id
        return GateDocument.of(self._known(self._keys[key]))

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        gate = self._known(gate_id)
        if not GateDocument.of(gate).is_answered:
            own = {name: getattr(gate, name) for name in ("id", "policy", "candidate", "deployment")}
            self._gates[self._gates.index(gate)] = gate = replace(self.end, **own)
        yield GateDocument.of(gate)

    async def gate(self, gate_id: str) -> GateDocument:
        return GateDocument.of(self._known(gate_id))

    def _known(self, gate_id: str) -> Gate:
        (gate,) = [gate for gate in self._gates if gate.id == gate_id]
        return gate

    async def could_start(self, request: Mapping[str, Any]) -> DryRunDocument:
        if request["policy"] == "unknown":
            raise Refused(404, {"detail": "No policy is called 'unknown'."})
        return DryRunDocument(service="shop", policy=request["policy"], notes=["no series yet"])

    async def quarantine(self) -> QuarantineDocument:
        return QuarantineDocument(versions=self.kept)

    async def lock(self, service: str, holder: str, _seconds: float, reason: str, **_more: Any) -> LockDocument:
        at = decided(Verdict.PASS).created_at
        return LockDocument(service=service, holder=holder, until=at, reason=reason, caller="ci")

    async def unlock(self, _service: str, _holder: str) -> None: ...

    async def switched(self, gate_id: str) -> GateDocument:
        self.switches.append(gate_id)
        return await self.gate(gate_id)

    async def cancel(self, gate_id: str, reason: str) -> None:
        self.cancelled.append(gate_id)
        gate = self._known(gate_id)
        ended = replace(gate, state=GateState.CANCELLED, notes=(f"Cancelled by ci: {reason}",))
        self._gates[self._gates.index(gate)] = ended


class TwoTargets:
    """Version 2.0 has the traffic on green; `changed` holds what was done."""

    def __init__(self) -> None:
        self.changed: list[str] = []

    async def live(self) -> str:
        return "green"

    async def idle(self) -> str:
        return "blue"

    async def version(self, target: str) -> str | None:
        return {"green": "2.0", "blue": "1.0"}[target]

    async def release(self, target: str, version: str) -> None:
        self.changed.append(f"release {version} to {target}")

    async def switch(self, target: str) -> None:
        self.changed.append(f"switch to {target}")

    async def retire(self, target: str) -> None:
        self.changed.append(f"retire {target}")


class WithWayBack(TwoTargets):
    """Two targets whose way back is another one than a switch."""

    async def take_back(self, target: str) -> None:
        self.changed.append(f"take back to {target}")


async def deployed(daemon: Daemon, kind: type[TwoTargets] = TwoTargets) -> tuple[int, list[str], GateSession]:
    """The exit code of `blue-green 2.0 --key run-2`, and what it changed."""
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps, platform = Steps(quiet=True), kind()
    referee = GateSession(cast("GateClient", daemon), config, "run-2", steps)
    deploy = BlueGreen(platform, referee, steps, config.gates, None)
    return await carried_out(lambda: deploy.deploy("2.0"), referee, steps), platform.changed, referee


def of(gate: Gate, key: str) -> Gate:
    return replace(gate, candidate=GREEN, policy="post-switch", deployment=Deployment(id=key))


PASSED = replace(decided(Verdict.PASS), id="passed")
FAILED = replace(decided(Verdict.FAIL), id="failed")


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 2)])
@pytest.mark.parametrize("before", [[], [of(RUNNING, "run-1")], [of(FAILED, "run-1")]], ids=["none", "runs", "failed"])
async def test_it_is_judged_and_left_where_it_is(before: list[Gate], verdict: Verdict, code: int) -> None:
    """Whatever the verdict, such as too little traffic at night; a gate that runs is joined, and never cancelled."""
    daemon = Daemon(verdict, *before)
    assert (await deployed(daemon))[:2] == (code, [])
    assert [asked["rollback"] for asked in daemon.asked] == ([] if before[:1] == [of(RUNNING, "run-1")] else ["off"])
    assert daemon.cancelled == []


async def test_what_has_passed_is_not_asked_about_again() -> None:
    """A new gate would end the watch over it."""
    daemon = Daemon(Verdict.FAIL, of(replace(PASSED, state=GateState.WATCHING), "run-1"))
    code, changed, referee = await deployed(daemon)
    assert (code, changed, daemon.asked) == (0, [], [])
    assert "passed gate passed: nothing to do" in referee.report.sentence(0)


async def test_a_gate_that_another_tool_left_at_its_switch_is_told_of_it() -> None:
    """That tool was killed before it could."""
    daemon = Daemon(Verdict.PASS, of(RUNNING, "run-1"))
    assert (await deployed(daemon))[0] == 0
    assert daemon.switches == ["running"]


async def test_a_switch_of_its_own_is_undone() -> None:
    """The tool was killed after it: with its key it goes on at the gate, and puts back what does not pass."""
    assert (await deployed(Daemon(Verdict.FAIL, of(RUNNING, "run-2"))))[:2] == (
        1,
        ["switch to green", "switch to blue"],
    )
    assert (await deployed(Daemon(Verdict.PASS, of(RUNNING, "run-2"))))[:2] == (0, ["switch to green"])
    undone = await deployed(Daemon(Verdict.FAIL, of(RUNNING, "run-2")), WithWayBack)
    assert undone[:2] == (1, ["switch to green", "take back to blue"])


async def test_a_version_in_quarantine_is_refused_as_its_gate_would_be() -> None:
    """With the exit code of every refusal, before anything is done; the reason's full stop is not doubled."""
    daemon = Daemon(Verdict.PASS)
    since = decided(Verdict.FAIL).created_at
    daemon.kept = [QuarantinedDocument(service="shop", version="2.0", gate="g1", since=since, reason="Above 5 %.")]
    code, changed, referee = await deployed(daemon)
    assert (code, changed, daemon.asked) == (3, [], [])
    assert "2.0 is in quarantine: Above 5 % (healthd gate unquarantine shop 2.0" in referee.report.sentence(3)


class WithPrograms(TwoTargets):
    """Two targets whose live version is another one, and a program that may not be there."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def check_programs(self) -> None:
        program.find(self._name)

    async def version(self, target: str) -> str | None:
        return "1.0"


@pytest.mark.parametrize(
    ("policy", "name", "code", "said"),
    [
        ("canary", "true", 0, "gate canary: no series yet"),
        ("unknown", "true", 3, "No policy is called 'unknown'."),
        ("canary", "/no/such/program", 3, "the program /no/such/program is not there"),
        ("canary", "no-such-program", 3, "there is no program no-such-program in "),
    ],
)
async def test_a_dry_run_finds_what_would_stop_it(
    policy: str, name: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gate that would be refused and a program that is not there; nothing is asked for, and nothing changed."""
    daemon, platform, steps = Daemon(Verdict.PASS), WithPrograms(name), Steps(dry_run=True)
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": [], "after": policy}})
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(platform, session, steps, config.gates, None)
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == code
    assert said in capsys.readouterr().err + session.report.reason
    assert (daemon.asked, platform.changed) == ([], [])
