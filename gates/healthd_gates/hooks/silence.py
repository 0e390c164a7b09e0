"""Ends gates whose deploy tool has stopped calling: its rollout was aborted, deleted or suspended without notice, and
must not hold the service. After a pass the watch ends then too, where the tool vacates the observed place: what runs
there is no longer the version that passed.
"""

from __future__ import annotations

import asyncio

import structlog

from healthd.config.in_force import Current
from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd.units import show_duration
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.hook_run import RunOver
from healthd_gates.engine.service import GateService
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.store.hook_runs import HookRuns

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 5.0
_OBSERVED = (GateState.AWAITING, GateState.SETTLING, GateState.RAMPING, GateState.OBSERVING)


class SilenceWatch:
    """One replica's worker that ends abandoned gates. A held gate waits for a person, whatever its tool does."""

    def __init__(
        self, supervisor: Supervisor, gate_service: GateService, kept: HookRuns, config: Current[Config], clock: Clock
    ) -> None:
        self._supervisor, self._gate_service, self._kept = supervisor, gate_service, kept
        self._in_force, self._since = config, clock.now()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for gate in self._supervisor.gates():
                if gate.caller.startswith("hook:") and (gate.state in _OBSERVED or self._is_at_a_place(gate)):
                    try:
                        await self._look_after(gate)
                    except (JournalError, Refusal) as error:
                        _log.debug("abandoned gate not ended", gate=gate.id, problem=str(error))
                    except Exception:  # an error of one gate must not end the others
                        _log.exception("abandoned gate not ended", gate=gate.id)

    def _is_at_a_place(self, gate: Gate) -> bool:
        """True if a gate watches what is at a place that its tool gives to the next version."""
        if gate.state is not GateState.WATCHING:
            return False
        config = self._in_force.now
        hook, service = config.hooks.get(gate.caller.removeprefix("hook:")), config.services.get(gate.service)
        if hook is None or service is None or not hook.vacates:
            return False
        return not service.follows_version

    async def _look_after(self, gate: Gate) -> None:
        # A run that asked again after a silence may fall silent once more.
        runs = [run for run in await self._kept.of_gate(gate.id) if run.over in (None, RunOver.SILENT)]
        if not runs:  # its tool gets a callback, or has said that it is done
            return
        now = await self._kept.moment()
        quiet = [(now - max(run.asked_at, self._since)).total_seconds() for run in runs]
        if any(seconds <= run.silence for seconds, run in zip(quiet, runs, strict=True)):
            return
        why = f"its deploy tool has not asked for {show_duration(round(min(quiet)))}"
        await self._gate_service.interventions.cancel(gate.id, caller=gate.caller, reason=why)
        for run in runs:
            await self._kept.end(run, RunOver.SILENT)
