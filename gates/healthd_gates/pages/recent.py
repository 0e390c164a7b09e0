"""The gates on the status page: those in progress, and the latest verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from healthd.web.pages.deploys import Deploy, UnknownDeploysError
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.service import GateService
from healthd_gates.pages.labels import sentence_of, state_of

_SHOWN = 6


class RecentGates:
    """The gate service as the status page's port."""

    def __init__(self, gate_service: GateService) -> None:
        self._gate_service = gate_service

    async def latest(self) -> Sequence[Deploy]:
        try:
            page = await self._gate_service.list(limit=_SHOWN)
        except Refusal as refusal:
            raise UnknownDeploysError(refusal.of_a_read.rstrip(".")) from refusal
        return [_shown(gate) for gate in sorted(page.gates, key=lambda gate: gate.state.is_over)]


def _shown(gate: Gate) -> Deploy:
    sign, word = state_of(gate)
    last = gate.rollback or gate.decision
    at = gate.finished_at or (last.at if last else gate.created_at)
    return Deploy(
        gate.service, gate.candidate.version, sign, word, sentence_of(gate), at, f"/gates/{gate.id}/page", gate.policy
    )
