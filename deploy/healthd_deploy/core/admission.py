"""Admission of a deploy: whether healthd would start its gates, asked before anything is done for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from healthd_deploy.core.asked import asked
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.core.gate_request import Arm, gate_request, refuse_mismatch
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.schema.gate import DryRunDocument


class GateAdmission:
    """Asks about the gates of one deploy of a service, named by its key. Starts none."""

    def __init__(
        self,
        client: GateClient,
        config: DeployConfig,
        key: str,
        earlier: EarlierGates,
        steps: Steps,
        *,
        no_rollback: bool,
    ) -> None:
        self._client, self._config, self._key = client, config, key
        self._earlier, self._steps, self._no_rollback = earlier, steps, no_rollback
        self._told: set[str] = set()

    async def could_ramp(self, policy: str, candidate: Arm, baseline: Arm) -> None:
        """Raise CouldNotAsk where healthd would not widen this release: before anything is done for it. A ramp that
        this deploy began is gone on with."""
        if self._no_rollback:
            raise CouldNotAsk("a ramp takes the traffic back by itself: --no-rollback needs --strategy switch")
        await self._earlier.of_no_other_version(candidate["version"])
        gate = await self._earlier.latest((policy,), candidate)
        if gate is not None and self._earlier.is_own(gate) and not gate.is_answered:
            return
        await self._earlier.not_followed(policy)
        request = gate_request(
            self._config.service, self._key, policy, candidate, baseline, addresses=self._config.addresses
        )
        found = await asked(self._client.could_start(request))
        refuse_mismatch(policy, ramps=True, wanted=found.ramps)
        self._tell(found)

    async def could_begin(
        self, policies: Collection[str], candidate: Arm, baseline: Arm | None = None, *, rolls_back: bool = False
    ) -> None:
        """Raise CouldNotAsk where healthd would refuse a gate of this deploy that comes after the release, such as in a
        freeze or while another gate's rollback is due: before anything is done for it."""
        if self._steps.dry_run:  # which asks about every gate in its turn
            return
        await self._earlier.of_no_other_version(candidate["version"])
        for policy in dict.fromkeys(policies):
            if rolls_back:
                await self._earlier.not_followed(policy)
            request = gate_request(
                self._config.service,
                self._key,
                policy,
                candidate,
                baseline,
                rolls_back=rolls_back and not self._no_rollback,
                addresses=self._config.addresses,
            )
            try:
                found = await self._client.could_start(request)
            except Refused as refusal:
                if not await self._earlier.is_busy_with_own(refusal):
                    raise CouldNotAsk(str(refusal)) from refusal
            except Unreachable as error:
                raise CouldNotAsk(str(error)) from error
            else:
                self._tell(found)

    async def rehearse(self, request: Mapping[str, Any], *, ramps: bool) -> None:
        """Have healthd say whether it would start this gate. Raises CouldNotAsk, such as for an unknown policy."""
        await self._earlier.of_no_other_version(request["candidate"]["version"])
        if request["rollback"] == "auto":
            await self._earlier.not_followed(request["policy"])
        found = await asked(self._client.could_start(request))
        refuse_mismatch(found.policy, ramps=ramps, wanted=found.ramps)
        asks = f"would ask the gate {found.policy} about {request['candidate']['version']}"
        self._steps.say(": ".join(filter(None, (asks, found.told))), "○")
        for note in found.notes:
            self._steps.say(f"gate {found.policy}: {note}")

    def _tell(self, found: DryRunDocument) -> None:
        """Tell which targets are elsewhere. What else is noted may be so because nothing is released yet."""
        for note in found.elsewhere:
            if note not in self._told:  # of several gates
                self._told.add(note)
                self._steps.say(note, "✗")
