"""Gates of a service before the one that a deploy starts: who had the traffic, and what was said of a version."""

from __future__ import annotations

from collections.abc import Collection

from healthd_deploy.core.asked import asked
from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.core.gate_request import Arm
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused
from healthd_gates.schema.gate import GateDocument

_BUSY = "urn:healthd:service-busy"
_RECENT = 50  # gates of a service that are searched for one of a version


class EarlierGates:
    """Gates of one service, those of the deploy named `key` among them."""

    def __init__(self, client: GateClient, service: str, key: str) -> None:
        self._client, self._service, self._key = client, service, key

    @property
    def undoing(self) -> str:
        """The reason with which this deploy cancels its gate where it goes back."""
        return f"the deploy {self._key} is being undone"

    def is_own(self, gate: GateDocument) -> bool:
        """True if this deploy started it, in this run or in an earlier one."""
        return gate.deployment.id == self._key

    async def is_busy_with_own(self, refusal: Refused) -> bool:
        """True if a gate is refused because one of this deploy has the service. Raises CouldNotAsk."""
        gate_id = refusal.problem.get("gate_id")
        if refusal.problem.get("type") != _BUSY or gate_id is None:
            return False
        return self.is_own(await asked(self._client.gate(str(gate_id))))

    async def latest(self, policies: Collection[str], candidate: Arm) -> GateDocument | None:
        """Return the newest gate of some policies about a candidate, of any deploy. Raises CouldNotAsk."""
        page = await asked(self._client.gates(service=self._service, limit=_RECENT))
        for gate in page.gates:
            named = {"version": gate.candidate.version, "target": gate.candidate.target}
            if gate.policy in policies and named == {
                "version": candidate["version"],
                "target": candidate.get("target"),
            }:
                return gate
        return None

    async def rollback_of_another(self) -> GateDocument | None:
        """Return the gate of another deploy whose rollback is not done yet, None where none is. Raises CouldNotAsk."""
        page = await asked(self._client.gates(service=self._service, limit=_RECENT))
        due = (gate for gate in page.gates if gate.rollback is not None and gate.rollback.state == "due")
        return next((gate for gate in due if not self.is_own(gate)), None)

    async def switched(self, policy: str, candidate: Arm) -> bool:
        """True if this deploy switched the traffic to a candidate: it started the gate about it and the candidate was
        not promoted since. Raises CouldNotAsk."""
        gate = await self.latest((policy,), candidate)
        return gate is not None and self.is_own(gate) and not gate.may_stay

    async def left(self, policy: str, candidate: Arm) -> GateDocument | None:
        """Return the gate at which this deploy was left after its switch, whatever it said since; None where it had
        none, or was being undone. Raises CouldNotAsk, also where another deploy's gate of the policy came after it."""
        gate = await self.latest((policy,), candidate)
        if gate is None or not self.is_own(gate) or (gate.verdict == "cancelled" and self.undoing in (gate.told or "")):
            return None
        await self.not_followed(policy)
        return gate

    async def not_followed(self, policy: str) -> None:
        """Raise CouldNotAsk where another deploy's gate of the policy came after one of this deploy: its verdict says
        nothing of what is there now."""
        newest = await self._newest(policy=policy)
        if newest is None or self.is_own(newest):
            return
        if (own := await self._newest(policy=policy, deployment=self._key)) is not None:
            raise CouldNotAsk(
                f"gate {newest.id} of {newest.candidate.version} came after gate {own.id} of the deploy {self._key}: "
                "a new deploy needs a new key"
            )

    async def of_no_other_version(self, version: str) -> None:
        """Raise CouldNotAsk where the key named the deploy of another version before: healthd would refuse its
        gates."""
        own = await self._newest(deployment=self._key)
        if own is not None and own.candidate.version != version:
            raise CouldNotAsk(
                f"the key {self._key} is that of {own.candidate.version} (gate {own.id}): a new deploy needs a new key"
            )

    async def _newest(self, **of: str) -> GateDocument | None:
        page = await asked(self._client.gates(service=self._service, limit=1, **of))
        return next(iter(page.gates), None)

    async def before_ramp(self, policies: Collection[str | None]) -> str | None:
        """Return the target that had all of the traffic before a ramp divided it, by the newest gate of some policies;
        None where that one has no ramp. Raises CouldNotAsk.

        A ramp that passed with all of the traffic has made the candidate's target that one.
        """
        page = await asked(self._client.gates(service=self._service, limit=_RECENT))
        gate = next((gate for gate in page.gates if gate.policy in policies), None)
        if gate is None or gate.ramp is None:
            return None
        if gate.may_stay and gate.ramp.full_at is not None:
            return gate.candidate.target
        return gate.baseline.target if gate.baseline is not None else None

    async def not_quarantined(self, version: str) -> None:
        """Raise CouldNotAsk for a version that failed a gate before: healthd would refuse a gate for it too."""
        for kept in (await asked(self._client.quarantine())).versions:
            if (kept.service, kept.version) == (self._service, version):
                release = f"healthd gate unquarantine {kept.service} {version} --reason …"
                raise CouldNotAsk(f"{version} is in quarantine: {kept.reason.rstrip('.')} ({release} lets it out)")
