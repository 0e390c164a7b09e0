"""Which gate belongs to which run of a deploy tool: found again at every call, begun once, ended with the run.

What a tool sends and what it is answered is the dialects' business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from healthd.runtime.clock import Clock
from healthd.web.problems import Problem
from healthd_gates.config.hooks import HookConfig
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import AlreadyDecided, InvalidRequest, UnknownGate
from healthd_gates.domain.evidence import Verdict
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.service import GateService
from healthd_gates.hooks.callback_worker import CallbackWorker
from healthd_gates.hooks.contract import Run, never

_RECENT = 50  # gates of a service among which a run's own is looked for


ConfigT = TypeVar("ConfigT", bound=HookConfig)


class Runs:
    """The gates of the tools' runs. The configuration is replaced when it is read again.

    Tools name a run by what is deployed, and deploy the same thing again weeks later. So a run's gate is not just any
    with its id, but the newest of its subject: once another id came in between, the same id is another run.
    """

    def __init__(
        self, gate_service: GateService, callback_worker: CallbackWorker, config: Config, clock: Clock
    ) -> None:
        self.gate_service, self.callback_worker, self.config, self.clock = gate_service, callback_worker, config, clock

    def hook(self, model: type[ConfigT], name: str) -> ConfigT:
        """A configured hook of this kind. Raises Problem 404."""
        found = self.config.hooks.get(name)
        if not isinstance(found, model):
            raise Problem(404, "Unknown hook", f"no hook of this kind is called {name!r}: configure it under hooks")
        return found

    async def find(self, run: Run) -> Gate | None:
        """The gate of a run, if it was begun."""
        latest = await self._latest(run)
        return latest if latest is not None and latest.deployment.id == run.deployment else None

    async def begin(self, run: Run, version: str, *, anew: Callable[[Gate], bool] = never) -> Gate:
        """The gate of a run, begun with its first call. `anew` says of one that there is whether it is another run's
        after all. A gate of another run that has no verdict yet is cancelled: its tool is on to the next.

        Raises Refusal.
        """
        latest = await self._latest(run)
        if latest is not None and latest.deployment.id == run.deployment and not anew(latest):
            return latest
        if latest is not None and not latest.is_answered:
            await self._cancel(latest, run, f"{run.deployment} came after it")
        try:
            request = run.deploys.request(version, run.deployment, run.by)
        except ValueError:
            problem = f"{version[:64]!r} cannot be the name of a version, or is that of the baseline"
            raise InvalidRequest(field="version", problem=problem) from None
        key = f"{run.deployment} after {latest.id if latest else 'none'}"
        return await self.gate_service.start(request, caller=run.caller, idempotency_key=key)

    async def end(self, run: Run, why: str) -> Gate | None:
        """The tool is done with a run: cancel its gate if there is no verdict yet, so that the next may start."""
        gate = await self.find(run)
        return gate if gate is None or gate.is_answered else await self._cancel(gate, run, why)

    async def is_released(self, gate: Gate) -> bool:
        """Whether someone has let the version out of the quarantine that this gate's fail put it in."""
        policy = self.config.policies.get(gate.policy)
        harmful = gate.rollback is not None or (gate.decision is not None and gate.decision.verdict is Verdict.FAIL)
        if policy is None or not policy.quarantine or not harmful:
            return False
        kept = await self.gate_service.quarantine()
        return not any((it.service, it.version) == (gate.service, gate.candidate.version) for it in kept)

    async def own(self, hook: str, gate_id: str) -> Gate:
        """A gate that this hook began. Raises UnknownGate for any other."""
        gate = await self.gate_service.get(gate_id)
        if gate.caller != f"hook:{hook}":
            raise UnknownGate(gate_id=gate_id)
        return gate

    async def _latest(self, run: Run) -> Gate | None:
        page = await self.gate_service.list(service=run.deploys.service, limit=_RECENT)
        own = (gate for gate in page.gates if gate.caller == run.caller)
        return next((gate for gate in own if (gate.deployment.id or "").rpartition(" ")[0] == run.subject), None)

    async def _cancel(self, gate: Gate, run: Run, why: str) -> Gate:
        try:
            return await self.gate_service.cancel(gate.id, caller=run.caller, reason=why)
        except AlreadyDecided:  # at this very moment
            return await self.gate_service.get(gate.id)
